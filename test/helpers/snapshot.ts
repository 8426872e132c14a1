/** What a tree of files is like, to compare it later. */
import { execFileSync } from 'node:child_process';

/** Everything about the files of a tree that must not change. */
export const snapshot = (path: string): string =>
  execFileSync(
    'sh',
    ['-c', `find . -printf '%p %y %m %s %n %l %T@\\n' | sort; find . -type f -exec md5sum {} + | sort`],
    {
      cwd: path,
      encoding: 'latin1',
    },
  );
