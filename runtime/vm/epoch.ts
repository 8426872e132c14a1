/**
 * The number that tells whether what the addon has been told of guests is still true: their views, whom the
 * supervisor acts as for them, and whether there are devices.
 */
export const epoch = new Uint32Array(1);

/** From now on everything is asked anew. */
export const viewsChanged = (): void => void epoch[0]!++;
