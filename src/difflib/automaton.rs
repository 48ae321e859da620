//! The suffix automaton of a sequence: which runs of another sequence occur in it.
//!
//! Guarantees construction in O(n) expected time and memory for every alphabet, and reading of m symbols in O(m).
//! Where and how often a run occurs is left to `occurrences`.

/// No state, no edge.
pub(super) const NONE: u32 = u32::MAX;

/// The state of the empty run.
pub(super) const ROOT: u32 = 0;

/// A run as its state and its length: a state stands for runs of several lengths that end at the same places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Locus {
    pub(super) state: u32,
    pub(super) len: u32,
}

pub(super) struct State {
    /// The length of its longest run.
    pub(super) len: u32,
    /// The state of the longest suffix that ends at more places.
    pub(super) link: u32,
    /// Where its longest run first ended, [`NONE`] for the root and states that were split off another.
    pub(super) end: u32,
    /// Its first edge, inline because most states have one.
    symbol: u32,
    to: u32,
    /// Its other edges, as a list.
    others: u32,
}

struct Edge {
    from: u32,
    symbol: u32,
    to: u32,
    /// The next edge of the same state.
    next: u32,
}

pub(super) struct Automaton {
    pub(super) states: Vec<State>,
    others: Vec<Edge>,
    /// Finds `others` by state and symbol: open addressing, at most half full.
    slots: Vec<u32>,
    last: u32,
}

impl Automaton {
    /// Symbols are below `NONE`.
    pub(super) fn new(sequence: &[u32]) -> Self {
        let mut states = Vec::with_capacity(2 * sequence.len() + 1);
        states.push(State { len: 0, link: NONE, end: NONE, symbol: NONE, to: NONE, others: NONE });
        let slots = vec![NONE; (2 * sequence.len()).next_power_of_two().max(2)];
        let mut automaton = Self { states, others: Vec::with_capacity(sequence.len()), slots, last: ROOT };
        for (at, &symbol) in sequence.iter().enumerate() {
            automaton.extend(symbol, at as u32);
        }
        automaton
    }

    /// For each symbol of `sequence` the longest run that ends there and occurs in the automaton's.
    pub(super) fn read(&self, sequence: &[u32]) -> Vec<Locus> {
        let mut locus = Locus { state: ROOT, len: 0 };
        sequence
            .iter()
            .map(|&symbol| {
                locus = self.step(locus, symbol);
                locus
            })
            .collect()
    }

    fn step(&self, mut locus: Locus, symbol: u32) -> Locus {
        loop {
            if let Some(state) = self.target(locus.state, symbol) {
                return Locus { state, len: locus.len + 1 };
            }
            if locus.state == ROOT {
                return locus;
            }
            let state = self.states[locus.state as usize].link;
            locus = Locus { state, len: self.states[state as usize].len };
        }
    }

    fn extend(&mut self, symbol: u32, at: u32) {
        let len = self.states[self.last as usize].len + 1;
        let new = self.push(State { len, link: ROOT, end: at, symbol: NONE, to: NONE, others: NONE });
        let mut from = std::mem::replace(&mut self.last, new);
        while from != NONE {
            if let Some(known) = self.connect(from, symbol, new) {
                self.states[new as usize].link = self.exactly(from, symbol, known);
                return;
            }
            from = self.states[from as usize].link;
        }
    }

    /// The state of the longest run of `from` followed by `symbol`, split off `known` where `known` has longer ones.
    fn exactly(&mut self, mut from: u32, symbol: u32, known: u32) -> u32 {
        let len = self.states[from as usize].len + 1;
        let State { len: longest, link, symbol: first, to, mut others, .. } = self.states[known as usize];
        if longest == len {
            return known;
        }
        let split = self.push(State { len, link, end: NONE, symbol: first, to, others: NONE });
        while others != NONE {
            let Edge { symbol, to, next, .. } = self.others[others as usize];
            self.connect(split, symbol, to);
            others = next;
        }
        self.states[known as usize].link = split;
        while from != NONE && self.redirect(from, symbol, known, split) {
            from = self.states[from as usize].link;
        }
        split
    }

    fn push(&mut self, state: State) -> u32 {
        self.states.push(state);
        self.states.len() as u32 - 1
    }

    fn target(&self, from: u32, symbol: u32) -> Option<u32> {
        let state = &self.states[from as usize];
        if state.symbol == symbol {
            return Some(state.to);
        }
        if state.others == NONE {
            return None;
        }
        self.slot(from, symbol).ok().map(|edge| self.others[edge].to)
    }

    /// Adds an edge, or gives where the one that is there leads.
    fn connect(&mut self, from: u32, symbol: u32, to: u32) -> Option<u32> {
        let state = &mut self.states[from as usize];
        if state.symbol == symbol {
            return Some(state.to);
        }
        if state.symbol == NONE {
            (state.symbol, state.to) = (symbol, to);
            return None;
        }
        let next = state.others;
        match self.slot(from, symbol) {
            Ok(edge) => Some(self.others[edge].to),
            Err(slot) => {
                self.slots[slot] = self.others.len() as u32;
                self.states[from as usize].others = self.others.len() as u32;
                self.others.push(Edge { from, symbol, to, next });
                self.keep_half_empty();
                None
            }
        }
    }

    /// Whether the edge led to `known`; then it leads to `to`.
    fn redirect(&mut self, from: u32, symbol: u32, known: u32, to: u32) -> bool {
        let state = &mut self.states[from as usize];
        if state.symbol == symbol {
            let leads = state.to == known;
            if leads {
                state.to = to;
            }
            return leads;
        }
        let edge = self.slot(from, symbol).expect("invariant: suffixes have the edges of longer runs");
        let leads = self.others[edge].to == known;
        if leads {
            self.others[edge].to = to;
        }
        leads
    }

    /// The edge in `others`, or the free slot where it would be named.
    fn slot(&self, from: u32, symbol: u32) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(from, symbol) & mask;
        loop {
            let edge = self.slots[slot];
            if edge == NONE {
                return Err(slot);
            }
            let known = &self.others[edge as usize];
            if known.from == from && known.symbol == symbol {
                return Ok(edge as usize);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn keep_half_empty(&mut self) {
        if 2 * self.others.len() < self.slots.len() {
            return;
        }
        self.slots = vec![NONE; 2 * self.slots.len()];
        for at in 0..self.others.len() {
            let Edge { from, symbol, .. } = self.others[at];
            let slot = self.slot(from, symbol).expect_err("invariant: edges are distinct");
            self.slots[slot] = at as u32;
        }
    }
}

fn hash(from: u32, symbol: u32) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(u64::from(from) << 32 | u64::from(symbol)) * u128::from(GOLDEN);
    (product as u64 ^ (product >> 64) as u64) as usize
}
