//! What belongs to which test runner, by the names of files.
//!
//! A row says what files of a name are, and of which programs: one without programs holds for every task, because
//! its files mean nothing to other runners. To protect another runner, add its rows here and a patch with its
//! honest twin to `tests/tampering`.

use super::What::{Compiled, Configuration, Dependency, Plugin, Program, Shadow, StartUp, Test};
use super::{What, sections};
use crate::patch::File;

/// Files of one kind.
struct Row {
    what: What,
    /// Words of a test command that make the row hold; none for every command.
    of: &'static [&'static str],
    /// Names with `*` for any letters; with a `/`, paths from the root; with a `/` at the end, everything below a
    /// directory of that name.
    names: &'static [&'static str],
}

const ANY: &[&str] = &[];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Every runner: directories that by custom hold tests. `test` alone also names product code deeper down.
    Row { what: Test, of: ANY, names: &["tests/", "__tests__/", "__mocks__/", "__snapshots__/", "testdata/", "/test/", "/spec/", "/t/"] },
    // pytest, unittest, nose.
    Row { what: Test, of: ANY, names: &["test_*.py", "*_test.py"] },
    Row { what: Plugin, of: ANY, names: &["conftest.py", "*.egg-info/", "*.dist-info/"] },
    Row { what: Configuration, of: ANY, names: &["pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", ".coveragerc", "noxfile.py"] },
    Row { what: StartUp, of: ANY, names: &["sitecustomize.*", "usercustomize.*", "sitecustomize/", "usercustomize/", "*.pth", "*.egg-link", "pyvenv.cfg", ".pdbrc"] },
    Row { what: Compiled, of: ANY, names: &["*.pyc", "*.pyo", "__pycache__/"] },
    Row { what: Dependency, of: ANY, names: &["site-packages/", "dist-packages/", ".venv/", "venv/", "node_modules/", ".yarn/"] },
    // bash and sh.
    Row { what: StartUp, of: ANY, names: &[".bashrc", ".bash_profile", ".bash_login", ".profile", ".envrc", ".env"] },
    // jest, mocha, vitest, ava, karma, jasmine, node:test.
    Row { what: Test, of: ANY, names: &["*.test.*", "*.spec.*"] },
    Row { what: Configuration, of: ANY, names: &["jest.config.*", ".mocharc*", "vitest.config.*", "vitest.workspace.*", "karma.conf.*", "ava.config.*", ".taprc", ".nycrc*", "jasmine.json", "babel.config.*", ".babelrc*", ".npmrc", ".yarnrc*"] },
    // cargo and nextest.
    Row { what: Configuration, of: ANY, names: &["/.cargo/config", "/.cargo/config.toml", "/.config/nextest.toml", "rust-toolchain", "rust-toolchain.toml"] },
    Row { what: Configuration, of: &["cargo"], names: &["build.rs"] },
    // go.
    Row { what: Test, of: ANY, names: &["*_test.go"] },
    Row { what: Configuration, of: ANY, names: &["go.work"] },
    // phpunit, rspec, minitest.
    Row { what: Test, of: ANY, names: &["*Test.php", "*_spec.rb", "*_test.rb", "test_*.rb"] },
    Row { what: Configuration, of: ANY, names: &["phpunit.xml*", "phpunit.dist.xml", ".rspec"] },
    Row { what: Configuration, of: &["rake"], names: &["Rakefile"] },
    Row { what: Dependency, of: ANY, names: &["vendor/bin/*", "vendor/phpunit/"] },
    // Maven and Gradle.
    Row { what: Test, of: ANY, names: &["src/test/"] },
    Row { what: Configuration, of: &["mvn", "mvnw", "mvnd"], names: &["pom.xml", "mvnw", ".mvn/"] },
    Row { what: Configuration, of: &["gradle", "gradlew"], names: &["*.gradle", "*.gradle.kts", "gradle.properties", "gradlew", "/gradle/"] },
    // make, CMake, Meson.
    Row { what: Configuration, of: &["make"], names: &["Makefile", "makefile", "GNUmakefile"] },
    Row { what: Configuration, of: &["cmake", "ctest"], names: &["CMakeLists.txt", "CTestTestfile.cmake", "CTestCustom.cmake", "CMakePresets.json"] },
    Row { what: Configuration, of: &["meson"], names: &["meson.build"] },
    // Which version of a language runs.
    Row { what: Configuration, of: ANY, names: &[".python-version", ".ruby-version", ".nvmrc", ".tool-versions"] },
];

/// Programs that tests start by their names.
#[rustfmt::skip]
const PROGRAMS: &[&str] = &[
    "python", "python3", "pytest", "py.test", "tox", "nox", "pip", "pip3", "coverage", "node", "npm", "npx", "yarn", "pnpm", "jest", "mocha",
    "vitest", "cargo", "rustc", "nextest", "go", "java", "javac", "mvn", "gradle", "php", "phpunit", "ruby", "rspec", "rake", "bundle", "make",
    "cmake", "ctest", "meson", "ninja", "bash", "sh", "env", "timeout", "git", "cat", "grep", "sed", "awk", "test", "prove", "perl",
];

/// Modules that pytest or unittest import: one of that name nearer to the work directory comes first.
#[rustfmt::skip]
const MODULES: &[&str] = &[
    // pytest's own and what it needs.
    "pytest", "_pytest", "pluggy", "iniconfig", "packaging", "exceptiongroup", "tomli", "py", "pygments", "colorama", "attr", "attrs", "xdist",
    "execnet", "pytest_cov", "coverage", "nose", "nose2",
    // Python's own.
    "abc", "argparse", "array", "ast", "asyncio", "atexit", "base64", "bdb", "binascii", "bisect", "builtins", "bz2", "calendar", "code",
    "codecs", "codeop", "collections", "concurrent", "configparser", "contextlib", "contextvars", "copy", "copyreg", "csv", "ctypes",
    "dataclasses", "datetime", "decimal", "difflib", "dis", "doctest", "email", "encodings", "enum", "errno", "faulthandler", "fnmatch",
    "fractions", "functools", "gc", "genericpath", "getpass", "gettext", "glob", "gzip", "hashlib", "heapq", "html", "http", "importlib",
    "inspect", "io", "itertools", "json", "keyword", "linecache", "locale", "logging", "lzma", "marshal", "math", "mimetypes",
    "multiprocessing", "numbers", "opcode", "operator", "optparse", "os", "pathlib", "pdb", "pickle", "pkgutil", "platform", "posixpath",
    "pprint", "queue", "quopri", "random", "re", "reprlib", "runpy", "secrets", "select", "selectors", "shlex", "shutil", "signal", "site",
    "socket", "sre_compile", "stat", "statistics", "string", "struct", "subprocess", "symtable", "sysconfig", "tempfile", "textwrap",
    "threading", "time", "timeit", "token", "tokenize", "tomllib", "traceback", "types", "typing", "unittest", "urllib", "uuid", "warnings",
    "weakref", "xml", "zipfile", "zipimport", "zlib", "zoneinfo",
];

/// Directories that stand first where Python looks for modules.
const ROOTS: [&str; 3] = ["", "src/", "lib/"];

/// What lies at `path`, for a test command of these words; `before` and `after` are its file.
pub(super) fn what(
    path: &str,
    command: &[String],
    (before, after): (Option<&File>, Option<&File>),
) -> Option<What> {
    let holds = |row: &&Row| {
        row.of.is_empty()
            || command.iter().any(|word| row.of.contains(&word.rsplit('/').next().unwrap_or(word)))
    };
    let of_row = ROWS.iter().filter(holds).find(|row| row.names.iter().any(|name| fits(name, path)));
    let is_added = before.is_none() && after.is_some();
    let name = path.rsplit('/').next().unwrap_or(path);
    let or_by = |is_so: bool, what: What| is_so.then_some(what);
    of_row
        .map(|row| row.what)
        .or_else(|| or_by(is_added && is_shadow(path), Shadow))
        .or_else(|| or_by(is_added && PROGRAMS.contains(&name), Program))
        .or_else(|| or_by(sections::differ(name, before, after), Configuration))
}

/// Whether a name of a row is that of a path.
fn fits(name: &str, path: &str) -> bool {
    if let Some(dir) = name.strip_suffix('/') {
        return match dir.strip_prefix('/') {
            Some(dir) => path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')),
            None => {
                let mut parents = path.match_indices('/').map(|(end, _)| &path[..end]);
                parents.any(|parent| has_end(parent, dir))
            }
        };
    }
    match name.strip_prefix('/') {
        Some(name) => matches(name, path),
        None if name.contains('/') => matches(name, path),
        None => matches(name, path.rsplit('/').next().unwrap_or(path)),
    }
}

/// Whether the last parts of a directory are those of `end`, which may hold `*`.
fn has_end(dir: &str, end: &str) -> bool {
    let n_parts = end.split('/').count();
    let parts: Vec<&str> = dir.split('/').collect();
    parts.len() >= n_parts && matches(end, &parts[parts.len() - n_parts..].join("/"))
}

/// Whether `text` is `pattern`, in which `*` stands for any letters.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(tail, &rest[at..]))
        }),
    }
}

/// Whether Python would take the file for a module of the runner's or its own.
fn is_shadow(path: &str) -> bool {
    ROOTS.iter().filter_map(|root| path.strip_prefix(root)).any(|path| {
        let module = path.strip_suffix("/__init__.py").unwrap_or(path);
        let (stem, ending) = module.split_once('.').unwrap_or((module, ""));
        let is_module = module != path || ["py", "so", "pyd"].iter().any(|end| ending.ends_with(end));
        is_module && MODULES.contains(&stem)
    })
}
