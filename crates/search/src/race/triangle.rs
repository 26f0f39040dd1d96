//! Lower triangles: as much linear algebra as a posterior of some hundred members needs.

/// A symmetric matrix or a lower factor, by rows; what is above the diagonal is never read.
#[derive(Clone, Debug)]
pub(super) struct Triangle {
    size: usize,
    cells: Vec<f64>,
}

impl Triangle {
    /// All zeros.
    pub(super) fn zero(size: usize) -> Self {
        let cells = vec![0.0; size * size];
        Self { size, cells }
    }

    /// A cell on or below the diagonal.
    pub(super) fn at(&mut self, row: usize, column: usize) -> &mut f64 {
        debug_assert!(column <= row);
        &mut self.cells[row * self.size + column]
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.cells[row * self.size..=row * self.size + row]
    }

    /// The Cholesky factor in place of a positive definite matrix. A pivot that rounding made too small is set to a
    /// small number.
    pub(super) fn factor(&mut self) {
        for r in 0..self.size {
            let (above, here) = self.cells.split_at_mut(r * self.size);
            let here = &mut here[..=r];
            for c in 0..r {
                let other = &above[c * self.size..=c * self.size + c];
                here[c] = (here[c] - dot(&here[..c], &other[..c])) / other[c];
            }
            let pivot = here[r] - dot(&here[..r], &here[..r]);
            here[r] = pivot.max(1e-12).sqrt();
        }
    }

    /// The inverse of a lower factor: row by row, from the rows above.
    pub(super) fn inverted(&self) -> Self {
        let mut inverse = Self::zero(self.size);
        for r in 0..self.size {
            let row = self.row(r);
            let (above, here) = inverse.cells.split_at_mut(r * self.size);
            for (k, factor) in row[..r].iter().enumerate().filter(|(_, f)| **f != 0.0) {
                let other = &above[k * self.size..=k * self.size + k];
                for (h, o) in here.iter_mut().zip(other) {
                    *h -= factor * o;
                }
            }
            here[..r].iter_mut().for_each(|h| *h /= row[r]);
            here[r] = 1.0 / row[r];
        }
        inverse
    }

    /// The product of a lower factor and a vector.
    pub(super) fn multiply(&self, x: &[f64]) -> Vec<f64> {
        (0..self.size).map(|r| dot(self.row(r), &x[..=r])).collect()
    }

    /// A cell of its transpose times itself, `column` not above `row`.
    pub(super) fn product(&self, row: usize, column: usize) -> f64 {
        let below = row..self.size;
        below.map(|r| self.row(r)[row] * self.row(r)[column]).sum()
    }

    /// The variance of a weighted sum of x, where the covariance of x is this one's transpose times itself.
    pub(super) fn contrast(&self, terms: &[(usize, f64)]) -> f64 {
        let first = terms.iter().map(|t| t.0).min().unwrap_or(self.size);
        let sum = |r: usize| {
            let row = self.row(r);
            let below = terms.iter().filter(|(c, _)| *c <= r);
            below.map(|(c, weight)| row[*c] * weight).sum::<f64>()
        };
        (first..self.size).map(|r| sum(r).powi(2)).sum()
    }
}

/// The product of the transpose of a lower factor and a vector.
pub(super) fn multiply_transposed(lower: &Triangle, x: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; lower.size];
    for (r, factor) in x.iter().enumerate() {
        for (p, cell) in product.iter_mut().zip(lower.row(r)) {
            *p += factor * cell;
        }
    }
    product
}

/// Four sums side by side: one chain of additions would leave most of a processor idle.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (heads, tails) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = (heads.remainder().iter().zip(tails.remainder()))
        .map(|(x, y)| x * y)
        .sum();
    let mut sums = [0.0; 4];
    for (x, y) in heads.zip(tails) {
        for k in 0..4 {
            sums[k] += x[k] * y[k];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_undoes_the_factor() {
        let rows = [
            vec![4.0],
            vec![1.0, 3.0],
            vec![-0.5, 0.25, 2.0],
            vec![0.0, 0.5, 0.75, 5.0],
            vec![1.5, 0.0, -1.0, 0.125, 6.0],
        ];
        let mut matrix = Triangle::zero(5);
        for (r, row) in rows.iter().enumerate() {
            for (c, v) in row.iter().enumerate() {
                *matrix.at(r, c) = *v;
            }
        }
        matrix.factor();
        let inverse = matrix.inverted();
        let x = [1.0, -2.0, 0.5, 3.0, 1.25];
        let full = |r: usize, c: usize| rows[r.max(c)][r.min(c)];
        let product: Vec<f64> = (0..5)
            .map(|r| (0..5).map(|c| full(r, c) * x[c]).sum())
            .collect();
        let back = multiply_transposed(&inverse, &inverse.multiply(&product));
        for (b, x) in back.iter().zip(x) {
            assert!((b - x).abs() < 1e-12, "{back:?}");
        }
        // Of two numbers with covariance A^-1: here columns 0 and 3 of the inverse.
        let unit = |k: usize| (0..5).map(|i| f64::from(i == k)).collect::<Vec<f64>>();
        let covariance =
            |a, b: usize| multiply_transposed(&inverse, &inverse.multiply(&unit(a)))[b];
        let expected = covariance(0, 0) + covariance(3, 3) - 2.0 * covariance(0, 3);
        assert!((inverse.contrast(&[(0, 1.0), (3, -1.0)]) - expected).abs() < 1e-12);
        assert!((inverse.contrast(&[(3, 1.0), (0, -1.0)]) - expected).abs() < 1e-12);
    }
}
