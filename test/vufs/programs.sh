# Real programs at work in the directory where they are started: `prepare` makes what they need, `work` prints what they say.
# Both are run natively, and `work` once more where the directory is one of a view: it has to say the same.
set -eEuo pipefail
trap 'echo "failed with status $?, line $LINENO: $BASH_COMMAND" >&2' ERR
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a
export GIT_COMMITTER_EMAIL=a@example.org GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
export NPM_CONFIG_UPDATE_NOTIFIER=false
umask 022

prepare() {
  mkdir project app
  for i in {1..12}; do
    printf '#include "all.h"\nint f%d(int x) { return x + %d; }\n' "$i" "$i" >"project/f$i.c"
    printf 'int f%d(int);\n' "$i" >>project/all.h
  done
  {
    printf '#include <stdio.h>\n#include "all.h"\nint main(int n, char **a) { printf("%%d %%s\\n", '
    for i in {1..12}; do printf 'f%d(' "$i"; done
    printf '0%s, n > 1 ? a[1] : ""); return 0; }\n' '))))))))))))'
  } >project/main.c
  cat >project/Makefile <<'MAKE'
CFLAGS = -O1 -g0
OBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))
all: program static
program: $(OBJECTS); $(CC) -o $@ $^
static: $(OBJECTS); $(CC) -static -o $@ $^
$(OBJECTS): all.h
MAKE
  mkdir -p dep && echo 'module.exports = 42' >dep/index.js
  echo '{ "name": "dep", "version": "1.0.0", "main": "index.js" }' >dep/package.json
  tar czf app/dep-1.0.0.tgz --transform s/^dep/package/ dep
  echo '{ "name": "app", "version": "1.0.0", "dependencies": { "dep": "file:dep-1.0.0.tgz" } }' >app/package.json
  (cd app && npm install --package-lock-only --offline --no-audit --no-fund >/dev/null)
  git init -q -b main origin
  for i in {1..30}; do seq "$i" 400 >"origin/file$i"; done
  git -C origin add . && git -C origin commit -qm first
}

# All that a tree is, but for times, and what git and python keep for themselves.
tree() {
  (cd "$1" && find . ! -path '*/.git/*' ! -name '*.pyc' ! -type d -printf '%P %y %m %n %l\n' | sort &&
    find . ! -path '*/.git/*' ! -name '*.pyc' -type f -print0 | sort -z | xargs -0 md5sum)
}

work() {
  # A static program, a script, and a script whose interpreter is a program of the tree.
  make -s -j2 -C project && ./project/program dynamic && ./project/static static
  printf '#!/bin/sh\necho "script $0 $1"\n' >script && chmod +x script && ./script argument
  printf '#!%s/project/static one\n' "$PWD" >interpreted && chmod +x interpreted && ./interpreted
  touch project/all.h && make -j2 -C project | grep -c '^cc'

  git clone -q --no-hardlinks origin clone && cd clone
  echo more >>file1 && git mv file2 moved && git rm -q file3 && git commit -qam second
  git gc -q && git fsck && git log --format=%H%s && git status --short && git diff --stat HEAD~
  git checkout -qb branch HEAD~ && git merge -q main && git worktree add -q ../worktree HEAD~ && cd ..

  tar cf all.tar project app && mkdir unpacked && tar xf all.tar -C unpacked && diff -r project unpacked/project
  rsync -a project/ synced/ && rsync -ai --delete project/ synced/ && echo changed >>project/f1.c
  rsync -ai --checksum project/ synced/ | cut -c1-4

  (cd app && npm ci --offline --no-audit --no-fund | grep -o 'added 1 package' && node -p 'require("dep")')
  python3 -m venv --without-pip venv && venv/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'

  sqlite3 base.db 'PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER PRIMARY KEY, text);
    WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c WHERE n<2000) INSERT INTO t SELECT n, hex(n*n) FROM c;
    CREATE INDEX i ON t(text); DELETE FROM t WHERE n%3=0; VACUUM; PRAGMA integrity_check; SELECT count(*) FROM t;'
  vim -Nu NONE -es -c 'set backup backupskip=' -c '%s/return/return 1 *' -c wq project/f2.c && cat project/f2.c project/f2.c~

  sed -i s/42/43/ app/node_modules/dep/index.js && cp -a app copied && mv dep moved && ln moved/index.js hard
  chmod 600 origin/file9 && find project -name 'f*.o' -delete && find . -xdev -name 'f1*.c' | sort
  rm -rf all.tar unpacked clone/.git/logs synced/f* && ls synced && tree .
}

"$1"
