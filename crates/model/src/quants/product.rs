//! The inner loop: a tile of the result stays in registers while a panel of the matrix streams by.

use super::{
    BLOCK, NUMBERS, SCALES,
    dots::{Dots, Plain},
    size,
    tile::Tile,
};
use crate::packed::PANEL;
use pulp::NullaryFnOnce;

/// A panel times all tiles.
pub(crate) struct Panel<'a> {
    /// As [`super::Quants`] has them.
    pub(crate) bytes: &'a [u8],
    /// Whether there are least values.
    pub(crate) least: bool,
    pub(crate) tiles: &'a [Tile],
    /// `[n, PANEL]`.
    pub(crate) out: &'a mut [f32],
}

/// A panel on an instruction set.
struct On<'a, D>(D, Panel<'a>);

#[cfg(target_arch = "x86_64")]
pulp::simd_type! {
    /// V4's instructions and those that multiply, and add to a sum, at once: the compiler takes them where it finds both.
    struct Vnni {
        avx512f: "avx512f",
        avx512bw: "avx512bw",
        avx512cd: "avx512cd",
        avx512dq: "avx512dq",
        avx512vl: "avx512vl",
        avx512vnni: "avx512vnni",
    }
}

/// Computes `panel.out` with the best instructions that the processor has.
pub(crate) fn run(panel: Panel<'_>) {
    #[cfg(target_arch = "x86_64")]
    match *crate::kernels::ARCH {
        pulp::Arch::V4(v4) => {
            return match Vnni::try_new() {
                Some(vnni) => vnni.vectorize(On(v4, panel)),
                None => v4.vectorize(On(v4, panel)),
            };
        }
        pulp::Arch::V3(v3) => return v3.vectorize(On(v3, panel)),
        _ => {}
    }
    On(Plain, panel).call();
}

impl<D: Dots> NullaryFnOnce for On<'_, D> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self(dots, panel) = self;
        let mut rest = panel.out;
        for tile in panel.tiles {
            let (out, after) = rest.split_at_mut(tile.rows * PANEL);
            rest = after;
            let weights = (panel.bytes, panel.least);
            // Few rows leave registers for two vectors of the panel: more sums that do not wait for each other.
            match tile.height {
                1 => strips::<D, 1, 2>(dots, weights, tile, out),
                2 => strips::<D, 2, 2>(dots, weights, tile, out),
                3 => strips::<D, 3, 2>(dots, weights, tile, out),
                4 => strips::<D, 4, 2>(dots, weights, tile, out),
                6 => strips::<D, 6, 1>(dots, weights, tile, out),
                8 => strips::<D, 8, 1>(dots, weights, tile, out),
                _ => strips::<D, 12, 1>(dots, weights, tile, out),
            }
        }
    }
}

/// One tile times one panel, so many vectors of it at a time.
#[inline(always)]
fn strips<D: Dots, const HEIGHT: usize, const VECTORS: usize>(
    dots: D,
    (bytes, least): (&[u8], bool),
    tile: &Tile,
    out: &mut [f32],
) {
    for first in (0..PANEL).step_by(VECTORS * D::LANES) {
        match least {
            false => strip::<D, HEIGHT, VECTORS, false>(dots, bytes, (tile, first), out),
            true => strip::<D, HEIGHT, VECTORS, true>(dots, bytes, (tile, first), out),
        }
    }
}

/// One tile times some vectors of a panel, from row `first` of it on.
#[inline(always)]
fn strip<D: Dots, const HEIGHT: usize, const VECTORS: usize, const LEAST: bool>(
    dots: D,
    bytes: &[u8],
    (tile, first): (&Tile, usize),
    out: &mut [f32],
) {
    let mut sums = [[dots.no_real(); VECTORS]; HEIGHT];
    let pairs = tile.pairs.chunks_exact(BLOCK / 2 * HEIGHT);
    let parts = bytes.chunks_exact(size(LEAST));
    for (b, (part, pairs)) in parts.zip(pairs).enumerate() {
        let (numbers, rest) = part.split_at(NUMBERS);
        let whole = block::<D, HEIGHT, VECTORS>(dots, numbers, pairs, first);
        let x = &tile.scales[b * HEIGHT..][..HEIGHT];
        for v in 0..VECTORS {
            let scales = dots.reals(&rest[4 * (first + v * D::LANES)..]);
            for h in 0..HEIGHT {
                sums[h][v] = dots.add_scaled(whole[h][v], (scales, x[h]), sums[h][v]);
            }
        }
        if LEAST {
            let x = &tile.sums[b * HEIGHT..][..HEIGHT];
            for v in 0..VECTORS {
                let least = dots.reals(&rest[SCALES + 4 * (first + v * D::LANES)..]);
                for h in 0..HEIGHT {
                    sums[h][v] = dots.add_least(least, x[h], sums[h][v]);
                }
            }
        }
    }
    for (row, sums) in out.as_chunks_mut::<PANEL>().0.iter_mut().zip(&sums) {
        for (v, sum) in sums.iter().enumerate() {
            dots.store(*sum, &mut row[first + v * D::LANES..]);
        }
    }
}

/// The whole-number sums of one block.
#[inline(always)]
fn block<D: Dots, const HEIGHT: usize, const VECTORS: usize>(
    dots: D,
    numbers: &[u8],
    pairs: &[i32],
    first: usize,
) -> [[D::Whole; VECTORS]; HEIGHT] {
    let mut sums = [[dots.no_whole(); VECTORS]; HEIGHT];
    let pairs = pairs.as_chunks::<2>().0.chunks_exact(HEIGHT);
    for (numbers, pairs) in numbers.chunks_exact(4 * PANEL).zip(pairs) {
        for v in 0..VECTORS {
            let (left, right) = dots.widened(&numbers[4 * (first + v * D::LANES)..]);
            for (sums, [x, y]) in sums.iter_mut().zip(pairs) {
                sums[v] = dots.dot(left, dots.pair(*x), sums[v]);
                sums[v] = dots.dot(right, dots.pair(*y), sums[v]);
            }
        }
    }
    sums
}

/// The other ways of [`run`] that this processor has.
#[cfg(test)]
pub(crate) fn others() -> Vec<fn(Panel<'_>)> {
    let mut ways: Vec<fn(Panel<'_>)> = vec![|panel| On(Plain, panel).call()];
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        if V3::is_available() {
            ways.push(|panel| V3::try_new().map_or((), |v3| v3.vectorize(On(v3, panel))));
        }
        if V4::is_available() {
            ways.push(|panel| V4::try_new().map_or((), |v4| v4.vectorize(On(v4, panel))));
        }
    }
    ways
}
