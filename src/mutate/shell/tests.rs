//! Tests of the operators, on lines of shell.

use std::collections::BTreeMap;

use crate::mutate::{Kind, enumerate};

/// The wrong lines that a one-line function body can become by `kind`.
fn wrong(kind: Kind, body: &str) -> Vec<String> {
    let text = format!("f() {{\n  a=$1\n  b=$2\n{body}\n}}\n");
    enumerate(&BTreeMap::from([("f.sh".to_owned(), text)]))
        .into_iter()
        .filter(|m| m.kind == kind && m.line >= 4)
        .map(|m| m.after.unwrap_or_default())
        .collect()
}

#[test]
fn comparison_flips_keep_their_kind_of_operand() {
    assert_eq!(wrong(Kind::Comparison, "  [ \"$a\" -lt 3 ]"), ["  [ \"$a\" -le 3 ]", "  [ \"$a\" -gt 3 ]"]);
    assert_eq!(wrong(Kind::Comparison, "  [ \"$a\" = x ]"), ["  [ \"$a\" != x ]"]);
}

#[test]
fn arithmetic_operators_change_inside_arithmetic_only() {
    assert_eq!(wrong(Kind::Operator, "  echo $((a / b))"), ["  echo $((a % b))", "  echo $((a * b))"]);
    assert_eq!(wrong(Kind::Operator, "  echo \"a + b\" # a - b"), Vec::<String>::new());
    assert_eq!(wrong(Kind::Operator, "  echo $((-1))"), Vec::<String>::new());
}

#[test]
fn constants_move_by_one_and_by_a_digit() {
    assert_eq!(wrong(Kind::OffByOne, "  a=9"), ["  a=10", "  a=8"]);
    assert_eq!(wrong(Kind::Constant, "  a=60"), ["  a=6"]);
    assert_eq!(wrong(Kind::OffByOne, "  echo '3' >&2 2>/dev/null"), Vec::<String>::new());
}

#[test]
fn literals_become_other_literals_of_the_function() {
    assert_eq!(wrong(Kind::Constant, "  x=yes\n  echo no"), ["  x=no", "  echo yes"]);
}

#[test]
fn variables_become_other_variables_of_the_function() {
    assert_eq!(wrong(Kind::Variable, "  echo \"is $a\""), ["  echo \"is $b\""]);
    assert_eq!(wrong(Kind::Variable, "  echo '$a'"), Vec::<String>::new());
}

#[test]
fn statements_are_dropped_but_not_the_shell_of_a_block() {
    assert_eq!(wrong(Kind::Dropped, "  echo x"), [""]);
    assert_eq!(wrong(Kind::Dropped, "  if true; then\n    echo x\n  fi"), Vec::<String>::new());
}

#[test]
fn operands_and_arguments_are_swapped() {
    assert_eq!(wrong(Kind::Swapped, "  echo $((a - b))"), ["  echo $((b - a))"]);
    assert_eq!(wrong(Kind::Swapped, "  join \"$a\" \"$b\""), ["  join \"$b\" \"$a\""]);
    assert_eq!(wrong(Kind::Swapped, "  echo $((a + b))"), Vec::<String>::new());
}

#[test]
fn connectives_and_conditions_are_turned_around() {
    assert_eq!(wrong(Kind::Boolean, "  true && false"), ["  true || false"]);
    let block = "  if [ -e x ]; then\n    shift\n    shift\n  fi";
    assert_eq!(wrong(Kind::Negation, block), ["  if ! [ -e x ]; then"]);
    assert_eq!(wrong(Kind::Negation, "  if ! ok; then\n  shift\n  shift\n  fi"), ["  if ok; then"]);
}

#[test]
fn the_step_of_a_loop_only_grows() {
    let body = "  while [ \"$a\" -lt 9 ]; do\n    a=$((a + 1))\n  done";
    let all: Vec<String> = Kind::SHELL.iter().flat_map(|kind| wrong(*kind, body)).collect();
    assert!(all.contains(&"    a=$((a + 2))".to_owned()), "{all:?}");
    assert!(!all.contains(&"    a=$((a - 1))".to_owned()), "{all:?}");
}

#[test]
fn applying_changes_exactly_the_named_line() {
    let text = "f() {\n  a=1\n  echo $((a + 2))\n}\n".to_owned();
    for mutation in enumerate(&BTreeMap::from([("f.sh".to_owned(), text.clone())])) {
        let changed = mutation.apply(&text);
        let expected: Vec<&str> = text
            .lines()
            .enumerate()
            .filter_map(|(idx, line)| match idx + 1 == mutation.line {
                true => mutation.after.as_deref(),
                false => Some(line),
            })
            .collect();
        assert_eq!(changed.lines().collect::<Vec<_>>(), expected);
        assert_ne!(changed, text);
    }
}
