//! Mistakes in expressions.

use tree_sitter::Node;

use super::site::{Edit, Site};

/// Operators of one family: any of them may stand where another does.
const FAMILIES: &[&[&str]] = &[
    &["+", "-"],
    &["*", "/", "%", "//"],
    &["&", "|", "^"],
    &["<<", ">>"],
    &["**", "*"],
    &["<", "<="],
    &[">", ">="],
    &["+=", "-="],
    &["*=", "/=", "%="],
];

/// Operators and their opposites.
const OPPOSITES: &[(&str, &str)] = &[
    ("+", "-"),
    ("*", "/"),
    ("//", "%"),
    ("%", "*"),
    ("<", ">"),
    ("<=", ">="),
    ("==", "!="),
    ("===", "!=="),
    ("&&", "||"),
    ("and", "or"),
    ("in", "not in"),
    ("is", "is not"),
    ("&", "|"),
    ("<<", ">>"),
    ("++", "--"),
];

/// Operators whose operands may change places without a difference.
const SYMMETRIC: &[&str] = &["*", "&", "|", "^", "==", "!=", "===", "!==", "is", "is not"];

/// An operator becomes another of its family.
pub(super) fn change_operator(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let others = |operator: Node<'_>, said: &str| {
        let families = FAMILIES.iter().filter(|family| family.contains(&said));
        let others = families.flat_map(|family| family.iter().filter(|other| **other != said));
        others
            .filter(|other| is_spoken(site, other))
            .map(|other| vec![Site::write(operator, *other)])
            .collect()
    };
    operator(site).map_or_else(Vec::new, |node| others(node, site.of(node)))
}

/// An operator becomes its opposite.
pub(super) fn flip_operator(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let Some(operator) = operator(site) else { return Vec::new() };
    let said = site.of(operator);
    let opposite = OPPOSITES.iter().find_map(|(a, b)| match said {
        _ if said == *a => Some(*b),
        _ if said == *b => Some(*a),
        _ => None,
    });
    opposite
        .filter(|other| is_spoken(site, other))
        .map(|other| vec![vec![Site::write(operator, other)]])
        .unwrap_or_default()
}

/// The operator of a node that has one.
fn operator<'t>(site: &Site<'t>) -> Option<Node<'t>> {
    let kind = site.node.kind();
    let has_one = site.grammar.binaries.contains(&kind)
        || site.grammar.assignments.contains(&kind)
        || kind == "inc_statement"
        || kind == "dec_statement";
    let named = || site.field("operator").or_else(|| site.field("operators"));
    has_one.then(named).flatten().filter(|operator| !operator.is_named() || operator.kind() != "identifier")
}

/// Whether the language has this operator.
fn is_spoken(site: &Site<'_>, operator: &str) -> bool {
    use super::grammar::Language::{JavaScript, Python};
    match operator {
        "//" => site.grammar.language == Python,
        "**" => matches!(site.grammar.language, Python | JavaScript),
        _ => true,
    }
}

/// The two operands of a binary operation.
fn operands<'t>(grammar: &[&str], node: Node<'t>) -> Option<(Node<'t>, Node<'t>)> {
    if !grammar.contains(&node.kind()) {
        return None;
    }
    match (node.child_by_field_name("left"), node.child_by_field_name("right")) {
        (Some(left), Some(right)) => Some((left, right)),
        // Python's comparisons are chains without names for their links.
        _ => match Site::children(node)[..] {
            [left, right] => Some((left, right)),
            _ => None,
        },
    }
}

/// The operands of an operator change places.
pub(super) fn swap_operands(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let Some((left, right)) = operands(site.grammar.binaries, site.node) else { return Vec::new() };
    match operator(site).map(|operator| site.of(operator)) {
        Some(said) if !SYMMETRIC.contains(&said) => site.exchange(left, right),
        _ => Vec::new(),
    }
}

/// One operation of a chain is left out: `a + b + c` becomes `a + c`, or `a + b`.
pub(super) fn break_chain(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let Some((left, right)) = operands(site.grammar.binaries, site.node) else { return Vec::new() };
    let mut found = Vec::new();
    for (inner, first) in [(left, true), (right, false)] {
        if let Some((a, b)) = operands(site.grammar.binaries, inner) {
            found.push(vec![Site::write(inner, site.of(if first { a } else { b }))]);
        }
    }
    let is_chain = !found.is_empty();
    found.extend(is_chain.then(|| vec![Site::write(site.node, site.of(left))]));
    found
}

/// An integer is off by one, a truth value is the other.
pub(super) fn change_constant(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let said = site.of(site.node);
    let [yes, no] = site.grammar.truth;
    if said == yes || said == no {
        let other = if said == yes { no } else { yes };
        return vec![vec![Site::write(site.node, other)]];
    }
    if !site.grammar.integers.contains(&site.node.kind()) {
        return Vec::new();
    }
    let digits = said.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = said.split_at(digits);
    let is_decimal = !suffix.starts_with(['x', 'b', 'o', '.', 'e', '_', 'X', 'j']);
    let Some(number) = number.parse::<u32>().ok().filter(|_| is_decimal) else { return Vec::new() };
    let near = [number.checked_add(1), number.checked_sub(1)];
    near.into_iter().flatten().map(|near| vec![Site::write(site.node, format!("{near}{suffix}"))]).collect()
}

/// An argument changes places with the next one.
pub(super) fn swap_arguments(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let is_list = site.grammar.arguments.contains(&site.node.kind());
    // What a class is made of is no call.
    let is_call = site.node.parent().is_some_and(|parent| !site.grammar.classes.contains(&parent.kind()));
    if !is_list || !is_call {
        return Vec::new();
    }
    let given = Site::children(site.node);
    let is_plain = |node: &Node<'_>| !node.kind().contains("keyword") && !node.kind().contains("splat");
    let pairs = given.windows(2).filter(|pair| pair.iter().all(is_plain));
    pairs.flat_map(|pair| site.exchange(pair[0], pair[1])).collect()
}
