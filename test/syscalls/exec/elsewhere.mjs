/** Shows the directory ELSEWHERE_REAL at ELSEWHERE, where the host has nothing. */
export default {
  name: 'elsewhere',
  summary: 'a directory in another place',
  syscalls: ['%path', '%exec'],
  create({ vm }) {
    const { ELSEWHERE: prefix, ELSEWHERE_REAL: real } = process.env;
    const claim = (path) => ({ kind: 'redirect', dirfd: -100, path: real + path.slice(prefix.length) });
    vm.addRule({ prefix, claim });
    return {};
  },
};
