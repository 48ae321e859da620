//! Rows that poison what later commands start from.

use crate::row::Must::{Code, Fail, Next, Print, RuinsSession, Then, WriteRefused};
use crate::row::Row;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "a false bash in PATH",
        "our command is found with the sandbox's own PATH",
        "mkdir -p bin; for p in bash sh mv cat; do printf '#!/bin/sh\\necho false\\n' > bin/$p; chmod 755 bin/$p; done; export PATH=$PWD/bin:$PATH",
        &[Next("echo ${BASH_VERSION:+true}", "true\n"), Then("echo true | cat", "true\n")],
    ),
    Row::new(
        "an empty PATH",
        "our own words use builtins and the default PATH",
        "export PATH=/nowhere; cd dir",
        &[Next("echo ${PWD##*/}", "dir\n"), Then("cat f 2>/dev/null || cat dir/f", "f\n")],
    ),
    Row::new(
        "LD_PRELOAD and LD_LIBRARY_PATH",
        "fresh commands inherit nothing; our process reads no variable of the agent",
        "echo junk > evil.so; export LD_PRELOAD=$PWD/evil.so LD_LIBRARY_PATH=$PWD LD_AUDIT=$PWD/evil.so",
        &[Then("cat a; echo ${LD_PRELOAD-none}", "a\nnone\n")],
    ),
    Row::new(
        "BASH_ENV, ENV and PROMPT_COMMAND",
        "the session's own BASH_ENV comes first; fresh commands inherit nothing",
        "echo 'echo evil; exit 66' > evil; export BASH_ENV=$PWD/evil ENV=$PWD/evil PROMPT_COMMAND='echo evil' PS4='$(echo evil)' SHELLOPTS",
        &[Next("echo next", "next\n"), Then("bash -c 'echo on'; sh -c 'echo on'", "on\non\n")],
    ),
    Row::new(
        "exported functions named like builtins and programs",
        "fresh commands inherit nothing",
        "for f in builtin command unset export declare printf cd trap exit cat test '[' mv compgen; do eval \"$f() { :; }\" 2>/dev/null; done; export -f builtin command unset printf cd trap cat mv 2>/dev/null; exit 5",
        &[RuinsSession, Then("cd dir && printf '%s\\n' \"$(cat f)\" && test 1 = 1 && echo on", "f\non\n")],
    ),
    Row::new(
        "functions that change how our own words are read",
        "our words name the builtins",
        "cd() { echo moved; }; printf() { echo no; }; declare() { echo no; }; export() { echo no; }; builtin cd dir",
        &[Next("echo ${PWD##*/}", "dir\n")],
    ),
    Row::new(
        "the session's state says exit 0",
        "fresh commands do not read it",
        "for d in /run/session /var/lib/apprentice/session; do [ -d $d ] && trap \"echo 'exit 0' > $d/state\" EXIT; done; exit 7",
        &[Code(7), RuinsSession, Then("echo on; exit 0", "on\n")],
    ),
    Row::new(
        "the session's state is a pipe that nobody writes",
        "fresh commands do not read it; carried ones meet their deadline",
        "for d in /run/session /var/lib/apprentice/session; do [ -d $d ] && { trap - EXIT; rm -f $d/state; mkfifo $d/state; rm -f $d/prelude; mkfifo $d/prelude; }; done",
        &[RuinsSession, Then("echo on", "on\n")],
    ),
    Row::new(
        "the session's state is /dev/zero",
        "fresh commands do not read it",
        "trap - EXIT; for d in /run/session /var/lib/apprentice/session; do [ -d $d ] && ln -sf /dev/zero $d/state; done; exit 0",
        &[RuinsSession, Then("echo on", "on\n")],
    ),
    Row::new(
        "the session's directory is gone",
        "a command without a state is a plain one",
        "trap - EXIT; rm -rf /run/session /var/lib/apprentice/session/* 2>/dev/null; exit 0",
        &[Next("echo on", "on\n"), Then("echo on", "on\n")],
    ),
    Row::new(
        "variables with line breaks and code in them",
        "bash itself quotes them",
        "export EVIL=$'x\\necho evil\\n$(echo evil)`echo evil`\\'\"' 'A'=$'}; echo evil; {'",
        &[Next("echo on; printf %s \"$EVIL\" | wc -l", "on\n2\n")],
    ),
    Row::new(
        "a directory whose name is code",
        "bash itself quotes it",
        "mkdir -- $'$(echo evil)\\n\\'x'; cd -- $'$(echo evil)\\n\\'x'",
        &[Next("echo ${#PWD}", "24\n")],
    ),
    Row::new(
        "start-up files of shells and programs",
        "commands are neither login shells nor interactive",
        "for f in .bashrc .bash_profile .profile .bash_logout .bash_login .inputrc; do echo 'echo evil' > ~/$f; done; exit 0",
        &[Next("echo on", "on\n"), Then("echo on", "on\n")],
    ),
    Row::new(
        "an output that is our own word for the end",
        "the end is no word of the output",
        "printf '\\0\\0\\0\\0'; printf 'written\\n' >&2; printf 'file\\n' >&2; printf 'missing\\n' >&2; exit 12",
        &[Code(12), WriteRefused("/usr/x")],
    ),
    Row::new(
        "a script that replaces its shell",
        "the exit code comes from the kernel",
        "exec sh -c 'exit 11'",
        &[Code(11)],
    ),
    Row::new(
        "a script with a syntax error that hides its end",
        "a script is an argument and no text around it",
        "echo one\n}; exit 0; {\nEOF\n'",
        &[Fail],
    ),
    Row::new(
        "a script that closes what it thinks is our block",
        "a script is an argument and no text around it",
        "echo one; }\necho two",
        &[Fail],
    ),
    Row::new(
        "names of whole outputs that are links, pipes and directories",
        "a whole output is written to a file that was made just then, never to one of that name",
        "echo safe > safe; for d in /run/session /var/lib/apprentice/session; do [ -d $d ] || continue; for i in $(seq 1 70); do case $((i % 4)) in 0) ln -s $PWD/safe $d/output-$i;; 1) mkfifo $d/output-$i;; 2) mkdir $d/output-$i;; 3) ln -s /proc/self/fd/1 $d/output-$i;; esac; done; done; seq 1 60000; exit 4",
        &[Code(4), Then("cat safe", "safe\n")],
    ),
    Row::new(
        "a directory of whole outputs that is a link elsewhere",
        "no link is followed to where whole outputs are made",
        "mkdir there; for d in /run/session /var/lib/apprentice/session; do [ -d $d ] && { mv $d $d.away; ln -s $PWD/there $d; }; done; seq 1 60000; rmdir there && exit 4",
        &[Code(4), RuinsSession, Then("ls there 2>/dev/null || echo none", "none\n")],
    ),
    Row::new(
        "a whole output that is emptied, moved and filled while it is written",
        "what is written goes to the open file, within its bound",
        "(for n in $(seq 1 300); do for d in /run/session /var/lib/apprentice/session; do for f in $d/output-*; do [ -f $f ] && { : > $f; mv $f $d/x; rm -f $d/x; }; done; done; done) 2>/dev/null & seq 1 400000; wait; exit 4",
        &[Code(4), Then("echo on", "on\n")],
    ),
    Row::new(
        "typing in the user's place (TIOCSTI)",
        "commands have no terminal; a filter refuses the call on those that they make",
        "perl -e 'print open(T, \"+<\", \"/dev/tty\") ? \"a terminal\\n\" : \"no terminal\\n\"; open(M, \"+<\", \"/dev/ptmx\") or print \"no master\\n\"; $c = \"x\"; print ioctl(M, 0x5412, $c) ? \"typed\\n\" : \"refused \" . ($! + 0) . \"\\n\"; $c = \"\\3\"; print ioctl(M, 0x541c, $c) ? \"pasted\\n\" : \"refused \" . ($! + 0) . \"\\n\"'",
        &[Print("no terminal\nrefused 1\nrefused 1\n")],
    ),
    Row::new("input that waits", "stdin is /dev/null", "read -r x; cat; echo end", &[Print("end\n")])
        .within(5.0),
];
