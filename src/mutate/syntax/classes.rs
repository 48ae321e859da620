//! Mistakes in classes.

use tree_sitter::Node;

use super::grammar::Language;
use super::site::{Edit, Site};

/// A class loses a base.
pub(super) fn remove_base(site: &Site<'_>) -> Vec<Vec<Edit>> {
    if !site.grammar.classes.contains(&site.node.kind()) {
        return Vec::new();
    }
    if site.grammar.language == Language::JavaScript {
        let heritage = Site::children(site.node).into_iter().find(|child| child.kind() == "class_heritage");
        return heritage.map(|heritage| vec![vec![Site::write(heritage, "")]]).unwrap_or_default();
    }
    let Some(list) = site.field("superclasses") else { return Vec::new() };
    let bases = Site::children(list);
    let without = |left_out: &Node<'_>| {
        let kept: Vec<&str> =
            bases.iter().filter(|base| *base != left_out).map(|base| site.of(*base)).collect();
        let text = if kept.is_empty() { String::new() } else { format!("({})", kept.join(", ")) };
        vec![Site::write(list, text)]
    };
    bases.iter().filter(|base| base.kind() != "keyword_argument").map(without).collect()
}

/// A class or `impl` loses a method.
pub(super) fn remove_method(site: &Site<'_>) -> Vec<Vec<Edit>> {
    if !is_method(site.grammar.functions, site.node) {
        return Vec::new();
    }
    let whole = whole(site);
    let siblings = whole.node.parent().map_or(0, |parent| Site::children(parent).len());
    match whole.lines() {
        Some(_) if siblings == 1 && site.grammar.nothing.is_some() => Vec::new(),
        Some(lines) => vec![vec![Edit { range: lines, text: String::new() }]],
        None => Vec::new(),
    }
}

/// A method changes places with the next one.
pub(super) fn shuffle_methods(site: &Site<'_>) -> Vec<Vec<Edit>> {
    if !is_method(site.grammar.functions, site.node) {
        return Vec::new();
    }
    let whole = whole(site).node;
    let Some(next) = whole.next_named_sibling() else { return Vec::new() };
    let is_next = is_method(site.grammar.functions, next) || next.kind() == "decorated_definition";
    if is_next { site.exchange(whole, next) } else { Vec::new() }
}

fn is_method(functions: &[&str], node: Node<'_>) -> bool {
    const BODIES: [&str; 2] = ["class_body", "declaration_list"];
    let mut around = node.parent();
    if let Some(parent) = around.filter(|parent| parent.kind() == "decorated_definition") {
        around = parent.parent();
    }
    let Some(body) = around else { return false };
    let of_class = body.parent().is_some_and(|owner| owner.kind() == "class_definition");
    functions.contains(&node.kind()) && (BODIES.contains(&body.kind()) || of_class)
}

/// A method with its decorators.
fn whole<'t>(site: &Site<'t>) -> Site<'t> {
    let decorated = site.node.parent().filter(|parent| parent.kind() == "decorated_definition");
    Site { node: decorated.unwrap_or(site.node), ..*site }
}
