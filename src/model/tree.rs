//! The prefix tree: sequences that begin alike share their first rows.
//!
//! Guarantees that every distinct (prefix, token) is one row, in an order in which each row comes
//! after all rows it attends to, and that equal inputs give equal packings. Knows nothing of tensors.

use std::collections::BTreeMap;
use std::ops::Range;

/// Sequences in one list of tokens, each shared prefix once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    /// The segment in which each sequence ends; `None` for the empty sequence.
    ends: Vec<Option<usize>>,
}

/// A run of rows without a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its rows.
    pub rows: Range<usize>,
    /// The position of its first token in every sequence that runs through it.
    pub position: usize,
    /// The rows before it that all its rows attend to: disjoint, ascending, neighbours merged.
    pub ancestors: Vec<Range<usize>>,
    /// The segment it continues.
    pub parent: Option<usize>,
}

impl Packed {
    /// Packs sequences.
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Packed {
        let mut tree = Tree::default();
        let ends: Vec<usize> = sequences.into_iter().map(|sequence| tree.insert(sequence)).collect();
        tree.pack(&ends)
    }

    /// The token of each row.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The position of each row in its sequences.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The runs of rows, in the order of their rows.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The number of sequences.
    pub fn sequences(&self) -> usize {
        self.ends.len()
    }

    /// The row of a sequence's token.
    ///
    /// # Panics
    /// When the sequence is shorter.
    pub fn row(&self, sequence: usize, position: usize) -> u32 {
        let mut segment = self.end(sequence);
        while segment.position > position {
            segment = &self.segments[segment.parent.expect("invariant: a root begins at position 0")];
        }
        let row = segment.rows.start + position - segment.position;
        assert!(row < segment.rows.end, "sequence {sequence} has no position {position}");
        row as u32
    }

    /// The rows of a sequence's tokens, in order: disjoint runs, ascending.
    pub fn spans(&self, sequence: usize) -> Vec<Range<usize>> {
        let segment = self.end(sequence);
        let mut spans = segment.ancestors.clone();
        extend(&mut spans, segment.rows.clone());
        spans
    }

    fn end(&self, sequence: usize) -> &Segment {
        &self.segments
            [self.ends[sequence].expect("invariant: only rows of non-empty sequences are asked for")]
    }
}

fn extend(spans: &mut Vec<Range<usize>>, next: Range<usize>) {
    match spans.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => spans.push(next),
    }
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    tokens: Vec<u32>,
    parent: usize,
    children: BTreeMap<u32, usize>,
}

const ROOT: usize = 0;

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Tree {
    /// Adds a sequence and gives the node whose last token is its last token.
    fn insert(&mut self, sequence: &[u32]) -> usize {
        let mut node = ROOT;
        let mut rest = sequence;
        while let Some(&first) = rest.first() {
            let Some(&child) = self.nodes[node].children.get(&first) else {
                return self.add(node, rest);
            };
            let shared = self.nodes[child].tokens.iter().zip(rest).take_while(|(a, b)| a == b).count();
            node = if shared < self.nodes[child].tokens.len() { self.split(child, shared) } else { child };
            rest = &rest[shared..];
        }
        node
    }

    fn add(&mut self, parent: usize, tokens: &[u32]) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Node { tokens: tokens.to_vec(), parent, children: BTreeMap::new() });
        self.nodes[parent].children.insert(tokens[0], node);
        node
    }

    /// Cuts `node` after `length` tokens and gives the new first part; `node` stays the last part,
    /// so that sequences that end in it still do.
    fn split(&mut self, node: usize, length: usize) -> usize {
        let rest = self.nodes[node].tokens.split_off(length);
        let tokens = std::mem::replace(&mut self.nodes[node].tokens, rest);
        let first = self.add(self.nodes[node].parent, &tokens);
        let next = self.nodes[node].tokens[0];
        self.nodes[first].children.insert(next, node);
        self.nodes[node].parent = first;
        first
    }

    fn pack(&self, ends: &[usize]) -> Packed {
        let weights = self.weights();
        let mut packed = Packed {
            tokens: Vec::new(),
            positions: Vec::new(),
            segments: Vec::with_capacity(self.nodes.len() - 1),
            ends: Vec::new(),
        };
        let mut segment_of = vec![None; self.nodes.len()];
        let mut stack = vec![ROOT];
        while let Some(node) = stack.pop() {
            if node != ROOT {
                let parent = segment_of[self.nodes[node].parent];
                segment_of[node] = Some(packed.push(parent, &self.nodes[node].tokens));
            }
            // The heaviest child comes first (the stack gives the last pushed): a trajectory's trunk
            // stays one run of rows, and its branches attend to one span.
            let mut children: Vec<usize> = self.nodes[node].children.values().copied().collect();
            children.sort_by_key(|&child| (weights[child], std::cmp::Reverse(child)));
            stack.extend(children);
        }
        packed.ends = ends.iter().map(|&end| segment_of[end]).collect();
        packed
    }

    /// The tokens below and in each node.
    fn weights(&self) -> Vec<usize> {
        let mut order = vec![ROOT];
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            order.extend(self.nodes[node].children.values());
            next += 1;
        }
        let mut weights: Vec<usize> = self.nodes.iter().map(|node| node.tokens.len()).collect();
        for &node in order.iter().skip(1).rev() {
            weights[self.nodes[node].parent] += weights[node];
        }
        weights
    }
}

impl Packed {
    fn push(&mut self, parent: Option<usize>, tokens: &[u32]) -> usize {
        let start = self.tokens.len();
        let (position, ancestors) = match parent.map(|parent| &self.segments[parent]) {
            None => (0, Vec::new()),
            Some(parent) => {
                let mut ancestors = parent.ancestors.clone();
                extend(&mut ancestors, parent.rows.clone());
                (parent.position + parent.rows.len(), ancestors)
            }
        };
        self.tokens.extend_from_slice(tokens);
        self.positions.extend((position..position + tokens.len()).map(|position| position as u32));
        self.segments.push(Segment { rows: start..self.tokens.len(), position, ancestors, parent });
        self.segments.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a row attends to, itself included, read off the segments.
    fn attended(packed: &Packed, row: usize) -> Vec<usize> {
        let segment = packed.segments().iter().find(|segment| segment.rows.contains(&row)).unwrap();
        segment.ancestors.iter().cloned().flatten().chain(segment.rows.start..=row).collect()
    }

    fn pack(sequences: &[Vec<u32>]) -> Packed {
        Packed::new(sequences.iter().map(Vec::as_slice))
    }

    #[test]
    fn a_trunk_with_branches_is_one_run_and_each_branch_sees_one_span() {
        let trunk: Vec<u32> = (0..100).collect();
        let branch = |at: usize, token: u32| [&trunk[..at], &[token, token]].concat();
        let packed = pack(&[branch(10, 500), branch(10, 501), branch(50, 500), trunk.clone()]);
        assert_eq!(packed.tokens().len(), 100 + 3 * 2);
        assert_eq!(&packed.tokens()[..100], &trunk[..]);
        let spans: Vec<_> = (0..3).map(|sequence| packed.spans(sequence)).collect();
        assert_eq!(spans[0].len(), 2);
        assert_eq!(spans[0][0], 0..10);
        assert_eq!(spans[2][0], 0..50);
        assert_eq!(packed.spans(3), [0..100]);
    }

    #[test]
    fn equal_sequences_and_prefixes_cost_nothing() {
        let packed = pack(&[vec![1, 2, 3], vec![1, 2, 3], vec![1, 2], vec![]]);
        assert_eq!(packed.tokens(), [1, 2, 3]);
        assert_eq!(packed.row(2, 1), packed.row(0, 1));
    }

    proptest! {
        #[test]
        fn every_row_attends_to_exactly_its_prefix(
            sequences in prop::collection::vec(prop::collection::vec(0u32..3, 0..12), 0..12)
        ) {
            let packed = pack(&sequences);
            let mut prefixes = std::collections::BTreeSet::new();
            for (index, sequence) in sequences.iter().enumerate() {
                for position in 0..sequence.len() {
                    let row = packed.row(index, position) as usize;
                    let seen: Vec<u32> =
                        attended(&packed, row).into_iter().map(|row| packed.tokens()[row]).collect();
                    prop_assert_eq!(&seen[..], &sequence[..=position]);
                    prop_assert_eq!(packed.positions()[row] as usize, position);
                    prefixes.insert(&sequence[..=position]);
                }
                if !sequence.is_empty() {
                    let rows: Vec<usize> = packed.spans(index).into_iter().flatten().collect();
                    prop_assert_eq!(rows.len(), sequence.len());
                }
            }
            prop_assert_eq!(packed.tokens().len(), prefixes.len());
        }
    }
}
