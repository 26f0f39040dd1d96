//! An adapter's two matrices, laid out for computing beside one frozen matrix.

use crate::packed::Packed;
use candle_core::Tensor;
use std::ops::Range;

/// scale B A for one matrix: x of `[n, columns]` to `[n, rows]`, by way of `[n, rank]`.
pub(crate) struct Factors {
    a: Packed,
    /// Scaled: nothing is left to do for each row.
    b: Packed,
    /// Where its output begins among those of the matrices that read the same x.
    offset: usize,
}

/// How the rows of a matrix lie that rotate in pairs: so many heads, pairs side by side. `None`: as PEFT has them.
pub(crate) type SideBySide = Option<usize>;

impl Factors {
    /// Lays out A (`[rank, columns]`) and B (`[rows, rank]`) that count `scale`.
    pub(crate) fn new(
        [a, b]: &[Tensor; 2],
        scale: f64,
        heads: SideBySide,
        offset: usize,
    ) -> candle_core::Result<Self> {
        let b = (b * scale)?;
        let b = match heads {
            None => b,
            Some(heads) => side_by_side(&b, heads)?,
        };
        Ok(Self {
            a: pack(a)?,
            b: pack(&b)?,
            offset,
        })
    }

    /// What is added for the rows of x, `[n, rows]`.
    fn product(&self, x: &[f32]) -> Vec<f32> {
        self.b.product(&self.a.product(x))
    }
}

fn pack(matrix: &Tensor) -> candle_core::Result<Packed> {
    let (_, columns) = matrix.dims2()?;
    Ok(Packed::new(
        &matrix.flatten_all()?.to_vec1::<f32>()?,
        columns,
    ))
}

/// Rows of heads from pairs that stand half a head apart (PEFT) to pairs that stand side by side (GGUF).
fn side_by_side(rows: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (count, columns) = rows.dims2()?;
    let pairs = rows.reshape((heads, 2, count / heads / 2, columns))?;
    pairs.transpose(1, 2)?.reshape((count, columns))
}

/// What all `factors` add for the rows of x (`[n, columns]`) that are tuned.
pub(crate) fn sums(
    factors: &[Factors],
    (x, columns): (&[f32], usize),
    tuned: &[Range<usize>],
) -> Vec<Vec<f32>> {
    if factors.is_empty() || tuned.is_empty() {
        return Vec::new();
    }
    let some: Vec<f32>;
    let x = match tuned {
        [all] if all.len() * columns == x.len() => x,
        parts => {
            let part = |rows: &Range<usize>| &x[rows.start * columns..rows.end * columns];
            some = parts.iter().flat_map(part).copied().collect();
            &some
        }
    };
    factors.iter().map(|f| f.product(x)).collect()
}

/// Adds what [`sums`] gave to `out`, `[n, width]`.
pub(crate) fn add(
    factors: &[Factors],
    sums: &[Vec<f32>],
    (out, width): (&mut [f32], usize),
    tuned: &[Range<usize>],
) {
    for (factor, sums) in factors.iter().zip(sums) {
        let rows = factor.b.rows();
        let places = tuned.iter().cloned().flatten();
        for (place, sum) in places.zip(sums.chunks_exact(rows)) {
            let start = place * width + factor.offset;
            crate::kernels::add(&mut out[start..start + rows], sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn pairs_that_stand_half_a_head_apart_are_put_side_by_side() {
        let rows: Vec<f32> = (0..8).map(|row| row as f32).collect();
        let rows = Tensor::from_vec(rows, (8, 1), &Device::Cpu).unwrap();
        let order = side_by_side(&rows, 2).unwrap().flatten_all().unwrap();
        assert_eq!(
            order.to_vec1::<f32>().unwrap(),
            [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]
        );
    }

    #[test]
    fn only_tuned_rows_change_and_only_where_the_matrix_is() {
        let a = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
        let b = Tensor::new(&[[1f32], [10.0]], &Device::Cpu).unwrap();
        let factors = [Factors::new(&[a, b], 0.5, None, 1).unwrap()];
        let x = [1f32, 0.0, 0.0, 1.0, 1.0, 1.0];
        let mut out = [0f32; 12];
        let tuned = [0..1, 2..3];
        let sums = sums(&factors, (&x, 2), &tuned);
        add(&factors, &sums, (&mut out, 4), &tuned);
        let want = [0.0, 0.5, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.5, 15.0, 0.0];
        assert_eq!(out, want);
    }
}
