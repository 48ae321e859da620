//! Mistakes in the flow of control.

use tree_sitter::Node;

use super::site::{Edit, Site};

/// The branches of an `if` with `else` change places.
pub(super) fn invert_if(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let Some((then, otherwise)) = branches(site) else { return Vec::new() };
    site.exchange(then, otherwise)
}

/// The two blocks of a conditional; none where the second is a conditional again.
fn branches<'t>(site: &Site<'t>) -> Option<(Node<'t>, Node<'t>)> {
    if !site.grammar.conditionals.contains(&site.node.kind()) {
        return None;
    }
    let mut cursor = site.node.walk();
    let alternatives: Vec<Node<'t>> = site.node.children_by_field_name("alternative", &mut cursor).collect();
    let [alternative] = alternatives[..] else { return None };
    let is_block = |node: &Node<'t>| site.grammar.blocks.contains(&node.kind());
    let inside = match is_block(&alternative) {
        true => alternative,
        false if alternative.kind() == "else_clause" => *Site::children(alternative).first()?,
        false => return None,
    };
    let then = site.field("consequence")?;
    (is_block(&then) && is_block(&inside)).then_some((then, inside))
}

/// A statement changes places with the next one.
pub(super) fn shuffle_lines(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let Some(next) = site.node.next_named_sibling() else { return Vec::new() };
    let other = Site { node: next, ..*site };
    let moves = |one: &Site<'_>| site.grammar.movable.contains(&one.node.kind()) && one.is_statement();
    let says = |one: &Site<'_>| one.of(one.node).starts_with(['"', '\'']);
    match moves(site) && moves(&other) && !says(site) {
        true => site.exchange(site.node, next),
        false => Vec::new(),
    }
}

/// A condition is negated, or no longer.
pub(super) fn negate_condition(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let has_condition = site.grammar.conditionals.contains(&site.node.kind())
        || ["elif_clause", "ternary_expression", "conditional_expression"].contains(&site.node.kind());
    let Some(condition) = site.field("condition").filter(|_| has_condition) else { return Vec::new() };
    // In C and JavaScript the parentheses are part of it.
    let condition = match condition.kind() {
        "parenthesized_expression" => Site::children(condition).first().copied().unwrap_or(condition),
        _ => condition,
    };
    let [open, close] = site.grammar.not;
    let text = match condition.kind() {
        "let_condition" | "let_chain" => return Vec::new(),
        "not_operator" | "unary_expression" if site.of(condition).starts_with(['n', '!']) => {
            match Site::children(condition).first() {
                Some(inner) => site.of(*inner).to_owned(),
                None => return Vec::new(),
            }
        }
        _ => format!("{open}{}{close}", site.of(condition)),
    };
    vec![vec![Site::write(condition, text)]]
}

/// `break` becomes `continue`, or the other way round.
pub(super) fn swap_jump(site: &Site<'_>) -> Vec<Vec<Edit>> {
    let said = site.of(site.node);
    let is_jump = site.node.kind().starts_with("break") || site.node.kind().starts_with("continue");
    let other = match said.trim_end_matches(';') {
        "break" => "continue",
        "continue" => "break",
        _ => return Vec::new(),
    };
    match is_jump && site.node.is_named() && !leaves_a_switch(site) {
        true => vec![vec![Site::write(site.node, said.replace(said.trim_end_matches(';'), other))]],
        false => Vec::new(),
    }
}

/// Whether the jump belongs to a `switch` and not to a loop.
fn leaves_a_switch(site: &Site<'_>) -> bool {
    let mut at = site.node.parent();
    while let Some(node) = at {
        if site.grammar.loops.contains(&node.kind()) {
            return false;
        }
        if node.kind().contains("switch") || node.kind().contains("case") {
            return true;
        }
        at = node.parent();
    }
    true
}
