//! Where a rule looks: a node, its text, and the edits that a rule is made of.

use std::ops::Range;

use tree_sitter::Node;

use super::grammar::Grammar;

/// A piece of the text that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// Its bytes.
    pub(super) range: Range<usize>,
    /// What stands there instead.
    pub(super) text: String,
}

/// A node of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'t> {
    pub(super) grammar: &'static Grammar,
    pub(super) text: &'t str,
    pub(super) node: Node<'t>,
}

/// The text with `edits` made; they do not overlap.
pub(super) fn apply(text: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| edit.range.start);
    let mut changed = String::with_capacity(text.len() + 16);
    let mut at = 0;
    for edit in edits {
        changed.push_str(&text[at..edit.range.start]);
        changed.push_str(&edit.text);
        at = edit.range.end;
    }
    changed + &text[at..]
}

impl<'t> Site<'t> {
    /// What a node says.
    pub(super) fn of(&self, node: Node<'t>) -> &'t str {
        &self.text[node.byte_range()]
    }

    /// A child by the name that the grammar gives it.
    pub(super) fn field(&self, name: &str) -> Option<Node<'t>> {
        self.node.child_by_field_name(name)
    }

    /// The children that are no tokens and no comments.
    pub(super) fn children(node: Node<'t>) -> Vec<Node<'t>> {
        let mut cursor = node.walk();
        node.named_children(&mut cursor).filter(|child| !child.is_extra()).collect()
    }

    /// The edit that writes `text` instead of a node.
    pub(super) fn write(node: Node<'_>, text: impl Into<String>) -> Edit {
        Edit { range: node.byte_range(), text: text.into() }
    }

    /// The edits that let two nodes change places; none where they say the same.
    pub(super) fn exchange(&self, a: Node<'t>, b: Node<'t>) -> Vec<Vec<Edit>> {
        match self.of(a) == self.of(b) {
            true => Vec::new(),
            false => vec![vec![Self::write(a, self.of(b)), Self::write(b, self.of(a))]],
        }
    }

    /// Whether the node is a statement among others, on lines of its own.
    pub(super) fn is_statement(&self) -> bool {
        let is_in_block =
            self.node.parent().is_some_and(|parent| self.grammar.blocks.contains(&parent.kind()));
        is_in_block && self.lines().is_some()
    }

    /// The whole lines that the node takes, if nothing else stands on them.
    pub(super) fn lines(&self) -> Option<Range<usize>> {
        let start = self.text[..self.node.start_byte()].rfind('\n').map_or(0, |at| at + 1);
        let mut end = self.node.end_byte();
        if self.text[end..].starts_with(';') {
            end += 1;
        }
        let rest = self.text[end..].find('\n').map_or(self.text.len(), |at| end + at + 1);
        let is_alone = self.text[start..self.node.start_byte()].trim().is_empty()
            && self.text[end..rest].trim().is_empty();
        is_alone.then_some(start..rest)
    }

    /// The edits that take the statement away; where its block would be empty and must not be, `pass` stays.
    pub(super) fn remove(&self) -> Vec<Vec<Edit>> {
        let Some(lines) = self.lines().filter(|_| self.is_statement()) else { return Vec::new() };
        let siblings = self.node.parent().map_or(0, |parent| Self::children(parent).len());
        vec![vec![match (siblings, self.grammar.nothing) {
            (1, Some(nothing)) => Self::write(self.node, nothing),
            _ => Edit { range: lines, text: String::new() },
        }]]
    }

    /// The text of a block's inside with the indentation of this node.
    pub(super) fn unindented(&self, block: Node<'t>) -> Option<String> {
        let statements = Self::children(block);
        let (first, last) = (statements.first()?, statements.last()?);
        let depth = |at: usize| {
            let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
            self.text[start..at].trim().is_empty().then(|| self.text[start..at].to_owned())
        };
        let (outer, inner) = (depth(self.node.start_byte())?, depth(first.start_byte())?);
        let extra = inner.strip_prefix(&outer)?;
        let inside = &self.text[first.start_byte()..last.end_byte()];
        let shifted = |line: &str| match line.strip_prefix(&inner) {
            Some(_) => line.replacen(extra, "", 1),
            None => line.to_owned(),
        };
        Some(inside.split('\n').map(shifted).collect::<Vec<_>>().join("\n"))
    }
}
