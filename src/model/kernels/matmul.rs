//! Matrix products over the `gemm` crate: views whose bounds are checked, then one unsafe call.

/// A matrix to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A matrix to write, rows apart by a stride.
#[derive(Debug)]
pub(crate) struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// What becomes of the old values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// They are replaced.
    Set,
    /// The product is added to them.
    Add,
}

impl<'a> Mat<'a> {
    /// Rows of `cols` values, one after the other.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows of `cols` values that begin `stride` apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(fits(data.len(), rows, cols, stride), "invariant: a matrix lies within its data");
        Self { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    /// Its rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Its columns.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// At most `count` columns from `first` on, of a matrix that is not transposed.
    pub(crate) fn columns(self, first: usize, count: usize) -> Self {
        assert!(self.col_stride == 1 && first < self.cols, "invariant: the columns exist");
        let cols = count.min(self.cols - first);
        Self { data: &self.data[first.min(self.data.len())..], cols, ..self }
    }

    /// At most `count` rows from `first` on, of a matrix that is not transposed.
    pub(crate) fn row_block(self, first: usize, count: usize) -> Self {
        assert!(self.col_stride == 1 && first < self.rows, "invariant: the rows exist");
        let rows = count.min(self.rows - first);
        Self { data: &self.data[first * self.row_stride..], rows, ..self }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a> MatMut<'a> {
    /// Rows of `cols` values, one after the other.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows of `cols` values that begin `stride` apart.
    pub(crate) fn strided(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(
            cols <= stride && fits(data.len(), rows, cols, stride),
            "invariant: a matrix lies within its data"
        );
        Self { data, rows, cols, stride }
    }
}

fn fits(length: usize, rows: usize, cols: usize, stride: usize) -> bool {
    rows == 0 || cols == 0 || (rows - 1) * stride + cols <= length
}

/// out = scale · a b, or out += scale · a b.
///
/// # Panics
/// When the shapes do not match.
#[expect(clippy::needless_pass_by_value, reason = "a view to write is made for one product")]
pub(crate) fn multiply(out: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, scale: f32, write: Write) {
    let (m, n, k) = (out.rows, out.cols, a.cols);
    assert!(a.rows == m && b.rows == k && b.cols == n, "invariant: the shapes of a product match");
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the constructors checked that every element of each view lies in its slice; `out` is borrowed
    // mutably, so it overlaps neither operand; its columns fit its stride, so its elements are distinct.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.data.as_mut_ptr(),
            1,
            out.stride as isize,
            write == Write::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0f32,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "these values are exact")]

    use super::*;

    #[test]
    fn products_of_strided_and_transposed_views_are_right() {
        // a: the right two columns of a 3×4 matrix; b: the transpose of a 3×2 one.
        let a: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..6).map(|i| i as f32 - 2.0).collect();
        let mut out = [1.0; 15];
        let product = MatMut::strided(&mut out[1..], 3, 3, 5);
        multiply(product, Mat::strided(&a[2..], 3, 2, 4), Mat::new(&b, 3, 2).t(), 2.0, Write::Add);
        for row in 0..3 {
            for col in 0..3 {
                let right: f32 = (0..2).map(|k| a[row * 4 + 2 + k] * b[col * 2 + k]).sum();
                assert_eq!(out[1 + row * 5 + col], 1.0 + 2.0 * right);
            }
        }
        assert_eq!([out[0], out[4], out[5]], [1.0; 3]);
    }
}
