//! The gradient of a parameter, as training needs it: whole, of its adapter's factors, or none at all.
//!
//! With y = x (W + s B A)ᵀ: dB = s dyᵀ (x Aᵀ) and dA = s (dy B)ᵀ x, so that the gradient of W is never made.

use rayon::prelude::*;

use super::rows::BLOCK;
use super::weight::{Factors, Role, Weight};
use crate::model::kernels::lanes;
use crate::model::kernels::matmul::{Mat, MatMut, Write, multiply};

/// The gradient of a parameter.
#[derive(Debug)]
pub(crate) enum Gradient<'a> {
    /// Of a frozen one: no memory, no work.
    None,
    Whole(Vec<f32>),
    Factors {
        of: Factors<'a>,
        a: Vec<f32>,
        b: Vec<f32>,
    },
}

impl<'a> Gradient<'a> {
    /// Zeros of the right kind.
    pub(crate) fn zeros(weight: &Weight<'a>) -> Self {
        match weight.role {
            Role::Trained => Self::Whole(vec![0.0; weight.len()]),
            Role::Frozen => Self::None,
            Role::Adapted(of) => Self::Factors { of, a: vec![0.0; of.a.len()], b: vec![0.0; of.b.len()] },
        }
    }

    /// The values, where the whole parameter is trained.
    pub(crate) fn whole(&mut self) -> Option<&mut Vec<f32>> {
        match self {
            Self::Whole(values) => Some(values),
            _ => None,
        }
    }
}

/// Rows of a weight's gradient that one thread computes.
const OUTER_ROWS: usize = 96;

/// Adds dyᵀ x for each (gradient, dy, x), in blocks of the gradients' rows, or the factors' part of it.
pub(crate) fn outer_products<'a>(products: Vec<(&mut Gradient<'_>, Mat<'a>, Mat<'a>)>) {
    let (mut work, mut adapted) = (Vec::new(), Vec::new());
    for (gradient, dy, x) in products {
        match gradient {
            Gradient::None => {}
            Gradient::Whole(values) => {
                let width = x.cols();
                for (index, block) in values.chunks_mut(OUTER_ROWS * width).enumerate() {
                    work.push((block, dy.columns(index * OUTER_ROWS, OUTER_ROWS), x));
                }
            }
            Gradient::Factors { of, a, b } => adapted.push((*of, a, b, dy, x)),
        }
    }
    work.into_par_iter().for_each(|(block, dy, x)| {
        let (rows, cols) = (dy.cols(), x.cols());
        multiply(MatMut::new(block, rows, cols), dy.t(), x, 1.0, Write::Add);
    });
    adapted.into_par_iter().for_each(|(of, a, b, dy, x)| {
        of.add_gradient_of_b(b, dy, x);
        of.add_gradient_of_a(a, dy, x);
    });
}

impl Factors<'_> {
    fn add_gradient_of_b(&self, d_b: &mut [f32], dy: Mat<'_>, x: Mat<'_>) {
        let inner = product(x, Mat::new(self.a, self.rank, self.inputs()).t());
        let inner = Mat::new(&inner, x.rows(), self.rank);
        d_b.par_chunks_mut(OUTER_ROWS * self.rank).enumerate().for_each(|(index, block)| {
            let dy = dy.columns(index * OUTER_ROWS, OUTER_ROWS);
            multiply(MatMut::new(block, dy.cols(), self.rank), dy.t(), inner, self.scale, Write::Add);
        });
    }

    fn add_gradient_of_a(&self, d_a: &mut [f32], dy: Mat<'_>, x: Mat<'_>) {
        let (rank, inputs) = (self.rank, self.inputs());
        let inner = product(dy, Mat::new(self.b, self.outputs(), rank));
        let inner = Mat::new(&inner, x.rows(), rank);
        // Transposed, so that threads write rows of their own.
        let mut turned = vec![0.0; d_a.len()];
        turned.par_chunks_mut(OUTER_ROWS * rank).enumerate().for_each(|(index, block)| {
            let x = x.columns(index * OUTER_ROWS, OUTER_ROWS);
            multiply(MatMut::new(block, x.cols(), rank), x.t(), inner, self.scale, Write::Set);
        });
        for (row, d_a) in d_a.chunks_exact_mut(inputs).enumerate() {
            let column: Vec<f32> = turned.iter().skip(row).step_by(rank).copied().collect();
            lanes::add(d_a, &column);
        }
    }
}

/// x m in blocks of x's rows.
fn product(x: Mat<'_>, m: Mat<'_>) -> Vec<f32> {
    let (rows, width) = (x.rows(), m.cols());
    let mut out = vec![0.0; rows * width];
    out.par_chunks_mut(BLOCK * width).enumerate().for_each(|(index, out)| {
        let x = x.row_block(index * BLOCK, BLOCK);
        multiply(MatMut::new(out, x.rows(), width), x, m, 1.0, Write::Set);
    });
    out
}
