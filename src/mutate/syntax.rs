//! Mutations of Python, Rust, Go, JavaScript and C, found on syntax trees.
//!
//! A rule looks at one node and says which edits would make a mistake of its kind there (`rules`); what the nodes are
//! called in each language is a table (`grammar`). Guarantees that an edit lies within one function, class or method
//! that is no test, and that strings and comments stay as they are. What an edit leaves may not parse: [`parses`] says.

mod classes;
mod control;
mod grammar;
mod operations;
mod removals;
mod rules;
mod site;

use tree_sitter::{Node, Parser, Tree};

use super::{Kind, Mutation, Slip};
use grammar::Grammar;
pub use grammar::Language;
pub use rules::{RULES, Rule};
use site::{Edit, Site};

/// Every mutation of a file; several may give the same text. None where the file does not parse.
pub(super) fn mutations(language: Language, file: &str, text: &str) -> Vec<Mutation> {
    let mut reader = Reader::new(language);
    let Some(tree) = reader.read(text).filter(|tree| !tree.root_node().has_error()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for node in places(&tree, reader.grammar, text) {
        let site = Site { grammar: reader.grammar, text, node };
        for rule in RULES.iter().filter(|rule| rule.languages.contains(&language)) {
            for edits in (rule.edits)(&site) {
                found.extend(mutation(file, text, rule.kind, &edits));
            }
        }
    }
    found
}

/// Whether a text of this file's language has no error of syntax; a language without a grammar is believed.
pub fn parses(file: &str, text: &str) -> bool {
    let Some(language) = Language::of(file) else { return true };
    Reader::new(language).read(text).is_some_and(|tree| !tree.root_node().has_error())
}

/// The name of the innermost function, method or class around `line` (from 1) that has one, and the line it begins on.
pub fn definition(file: &str, text: &str, line: usize) -> Option<(String, usize)> {
    let mut reader = Reader::new(Language::of(file)?);
    let tree = reader.read(text)?;
    let row = line.checked_sub(1)?;
    let indent = text.lines().nth(row).map_or(0, |line| line.len() - line.trim_start().len());
    let point = tree_sitter::Point { row, column: indent };
    let mut node = tree.root_node().descendant_for_point_range(point, point);
    while let Some(at) = node {
        if let Some(name) = reader.grammar.name(at, text) {
            return Some((name.to_owned(), at.start_position().row + 1));
        }
        node = at.parent();
    }
    None
}

/// A parser and the names of what it gives.
struct Reader {
    parser: Parser,
    grammar: &'static Grammar,
}

impl Reader {
    fn new(language: Language) -> Self {
        let grammar = Grammar::of(language);
        let mut parser = Parser::new();
        parser.set_language(&grammar.parser()).expect("invariant: the grammars fit the library");
        Self { parser, grammar }
    }

    fn read(&mut self, text: &str) -> Option<Tree> {
        self.parser.parse(text, None)
    }
}

/// The nodes within functions and classes, outside of tests, parents first.
fn places<'t>(tree: &'t Tree, grammar: &Grammar, text: &str) -> Vec<Node<'t>> {
    let mut found = Vec::new();
    let mut open = vec![(tree.root_node(), false)];
    while let Some((node, within)) = open.pop() {
        if grammar::is_test(node, text) {
            continue;
        }
        let within = within || grammar.is_definition(node);
        if within && node.is_named() {
            found.push(node);
        }
        let mut cursor = node.walk();
        let children: Vec<Node<'t>> = node.children(&mut cursor).collect();
        open.extend(children.into_iter().rev().map(|child| (child, within)));
    }
    found
}

/// The mutation that `edits` make, as whole lines.
fn mutation(file: &str, text: &str, kind: Kind, edits: &[Edit]) -> Option<Mutation> {
    let changed = site::apply(text, edits);
    let (old, new): (Vec<&str>, Vec<&str>) = (text.split('\n').collect(), changed.split('\n').collect());
    let same = |(a, b): (&&str, &&str)| a == b;
    let mut start = old.iter().zip(&new).take_while(|(a, b)| same((a, b))).count();
    let most = old.len().min(new.len()) - start.min(old.len().min(new.len()));
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| same((a, b))).count();
    if start + tail == old.len() {
        // Lines were only added: the one before them says where.
        start = start.checked_sub(1)?;
    }
    let (before, after) = (&old[start..old.len() - tail], &new[start..new.len() - tail]);
    let mutation = Mutation {
        file: file.to_owned(),
        line: start + 1,
        kind,
        before: before.join("\n"),
        after: (!after.is_empty()).then(|| after.join("\n")),
        slip: slip(text, edits, before, after),
    };
    (changed != text && mutation.apply(text) == changed).then_some(mutation)
}

/// Where the mistake is, if it is one piece of one line.
fn slip(text: &str, edits: &[Edit], before: &[&str], after: &[&str]) -> Option<Slip> {
    let ([edit], [_], [_]) = (edits, before, after) else { return None };
    let column = edit.range.start - text[..edit.range.start].rfind('\n').map_or(0, |at| at + 1);
    let from = text[edit.range.clone()].to_owned();
    let is_piece =
        !from.is_empty() && !edit.text.is_empty() && !from.contains('\n') && !edit.text.contains('\n');
    is_piece.then(|| Slip { column, from, to: edit.text.clone() })
}

#[cfg(test)]
mod tests;
