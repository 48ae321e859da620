//! Mistakes of leaving something out.

use super::grammar::Language;
use super::site::{Edit, Site};

/// An `if` with all its branches is left out.
pub(super) fn remove_conditional(site: &Site<'_>) -> Vec<Vec<Edit>> {
    removed(site, site.grammar.conditionals)
}

/// A loop is left out.
pub(super) fn remove_loop(site: &Site<'_>) -> Vec<Vec<Edit>> {
    removed(site, site.grammar.loops)
}

/// An assignment is left out.
pub(super) fn remove_assignment(site: &Site<'_>) -> Vec<Vec<Edit>> {
    removed(site, site.grammar.assignments)
}

/// The edits that take a statement of one of `kinds` away. In most grammars a statement is a node around it.
fn removed(site: &Site<'_>, kinds: &[&str]) -> Vec<Vec<Edit>> {
    let node = site.node;
    let is_one = kinds.contains(&node.kind());
    let wraps = node.kind() == "expression_statement"
        && Site::children(node).first().is_some_and(|inner| kinds.contains(&inner.kind()));
    match is_one || wraps {
        true => site.remove(),
        false => Vec::new(),
    }
}

/// The `else` of an `if` is left out.
pub(super) fn remove_else(site: &Site<'_>) -> Vec<Vec<Edit>> {
    if !site.grammar.conditionals.contains(&site.node.kind()) {
        return Vec::new();
    }
    let mut cursor = site.node.walk();
    let Some(last) = site.node.children_by_field_name("alternative", &mut cursor).last() else {
        return Vec::new();
    };
    // From the end of what stands before it; where the grammar has no clause, its keyword goes along.
    let before = site.text[..last.start_byte()].trim_end();
    let before = match last.kind() {
        "else_clause" | "elif_clause" => before,
        _ => before.strip_suffix("else").map_or(before, str::trim_end),
    };
    vec![vec![Edit { range: before.len()..last.end_byte(), text: String::new() }]]
}

/// A `with` or `try` is left out around its body; a `defer` altogether.
pub(super) fn remove_wrapper(site: &Site<'_>) -> Vec<Vec<Edit>> {
    if !site.grammar.wrappers.contains(&site.node.kind()) || !site.is_statement() {
        return Vec::new();
    }
    if site.grammar.language == Language::Go {
        return site.remove();
    }
    let inside = site.field("body").and_then(|body| site.unindented(body));
    inside.map(|inside| vec![vec![Site::write(site.node, inside)]]).unwrap_or_default()
}
