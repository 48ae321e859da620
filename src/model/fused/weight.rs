//! A parameter as the pass reads it: its values in whatever form they are kept, and the adapter on it.
//!
//! A layer's parameters are opened, as f32 with the adapter added, while that layer runs, and are forgotten behind it; so no pass
//! knows in which form a base is kept, and an adapted network computes what the merged one does.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::Device;
use candle_core::quantized::QTensor;
use half::bf16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::parameters::Layer;
use crate::model::kernels::matmul::{Mat, MatMut, Write, multiply};

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight<'a> {
    pub(crate) values: Values<'a>,
    pub(crate) role: Role<'a>,
}

/// Values as they are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    Blocks(&'a QTensor),
}

/// What training does to a parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role<'a> {
    Trained,
    Frozen,
    /// It stays, and what is added to it is trained.
    Adapted(Factors<'a>),
}

/// What an adapter adds to a matrix: scale · B A.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors<'a> {
    /// (rank, inputs)
    pub(crate) a: &'a [f32],
    /// (outputs, rank)
    pub(crate) b: &'a [f32],
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// Rows of a matrix to which one thread adds.
const ROWS: usize = 96;

impl<'a> Weight<'a> {
    /// How many values it has.
    pub(crate) fn len(&self) -> usize {
        match self.values {
            Values::F32(values) => values.len(),
            Values::Bf16(values) => values.len(),
            Values::Blocks(blocks) => blocks.shape().elem_count(),
        }
    }

    /// Its values, the adapter's part included.
    pub(crate) fn open(&self) -> Cow<'a, [f32]> {
        let values = match self.values {
            Values::F32(values) => Cow::Borrowed(values),
            Values::Bf16(values) => Cow::Owned(widened(values)),
            Values::Blocks(blocks) => Cow::Owned(unpacked(blocks)),
        };
        let Role::Adapted(factors) = self.role else { return values };
        let mut sum = values.into_owned();
        factors.add_to(&mut sum);
        Cow::Owned(sum)
    }

    /// Some rows of an embedding or a head, which are never in blocks and have no adapter.
    pub(crate) fn rows(&self, rows: Range<usize>, width: usize) -> Cow<'a, [f32]> {
        let at = rows.start * width..rows.end * width;
        match self.values {
            Values::F32(values) => Cow::Borrowed(&values[at]),
            Values::Bf16(values) => Cow::Owned(widened(&values[at])),
            Values::Blocks(_) => unreachable!("invariant: only matrices of layers are kept in blocks"),
        }
    }
}

fn widened(values: &[bf16]) -> Vec<f32> {
    let mut wide = vec![0.0; values.len()];
    let work = values.par_chunks(1 << 16).zip(wide.par_chunks_mut(1 << 16));
    work.for_each(|(values, wide)| values.convert_to_f32_slice(wide));
    wide
}

fn unpacked(blocks: &QTensor) -> Vec<f32> {
    let dense = blocks.dequantize(&Device::Cpu).and_then(|dense| dense.flatten_all()?.to_vec1());
    dense.expect("invariant: blocks on the CPU can be read")
}

impl Factors<'_> {
    pub(crate) fn inputs(&self) -> usize {
        self.a.len() / self.rank
    }

    pub(crate) fn outputs(&self) -> usize {
        self.b.len() / self.rank
    }

    fn add_to(&self, matrix: &mut [f32]) {
        let (rank, inputs) = (self.rank, self.inputs());
        let a = Mat::new(self.a, rank, inputs);
        let work = matrix.par_chunks_mut(ROWS * inputs).zip(self.b.par_chunks(ROWS * rank));
        work.for_each(|(rows, b)| {
            let count = b.len() / rank;
            let (target, b) = (MatMut::new(rows, count, inputs), Mat::new(b, count, rank));
            multiply(target, b, a, self.scale, Write::Add);
        });
    }
}

impl<'a> Layer<Weight<'a>> {
    /// The layer's parameters to compute with.
    pub(crate) fn open(&self) -> Layer<Cow<'a, [f32]>> {
        self.map(Weight::open)
    }
}

impl Layer<Cow<'_, [f32]>> {
    pub(crate) fn view(&self) -> Layer<&[f32]> {
        self.map(|values| &**values)
    }
}
