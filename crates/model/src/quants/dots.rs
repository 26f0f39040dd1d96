//! What products of whole numbers need of an instruction set.

/// Vectors of 32-bit lanes. A lane of whole numbers also holds two of 16 bits.
pub(crate) trait Dots: Copy {
    /// Lanes of a vector.
    const LANES: usize;
    /// Whole numbers.
    type Whole: Copy;
    /// Numbers with a point.
    type Real: Copy;

    /// Zeros.
    fn no_whole(self) -> Self::Whole;
    /// Zeros.
    fn no_real(self) -> Self::Real;
    /// Four bytes for each lane, widened: the first and third, then the second and fourth. Taking every other byte is
    /// what costs the least.
    fn widened(self, bytes: &[u8]) -> (Self::Whole, Self::Whole);
    /// Two 16-bit numbers, the same in all lanes.
    fn pair(self, pair: i32) -> Self::Whole;
    /// Adds both products of each lane's pairs.
    fn dot(self, a: Self::Whole, b: Self::Whole, sum: Self::Whole) -> Self::Whole;
    /// A number for each lane, from its bytes.
    fn reals(self, from: &[u8]) -> Self::Real;
    /// `whole * (scales * scale) + sum`, the last two in one rounding.
    fn add_scaled(
        self,
        whole: Self::Whole,
        scales: (Self::Real, f32),
        sum: Self::Real,
    ) -> Self::Real;
    /// `least * sum_of_x + sum` in one rounding.
    fn add_least(self, least: Self::Real, sum_of_x: f32, sum: Self::Real) -> Self::Real;
    /// Puts the lanes into the first places of `to`.
    fn store(self, from: Self::Real, to: &mut [f32]);
}

/// Takes the first numbers of a slice that has as many by construction.
#[inline(always)]
fn first<T: Copy + Default, const N: usize>(from: &[T]) -> [T; N] {
    from.first_chunk().copied().unwrap_or([T::default(); N])
}

/// Any processor: lanes side by side, for the compiler to make vectors of.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

/// Lanes of [`Plain`].
const PLAIN: usize = 8;

impl Dots for Plain {
    const LANES: usize = PLAIN;
    type Whole = [i32; PLAIN];
    type Real = [f32; PLAIN];

    #[inline(always)]
    fn no_whole(self) -> Self::Whole {
        [0; PLAIN]
    }

    #[inline(always)]
    fn no_real(self) -> Self::Real {
        [0.0; PLAIN]
    }

    #[inline(always)]
    fn widened(self, bytes: &[u8]) -> (Self::Whole, Self::Whole) {
        let two = |low: u8, high: u8| i32::from(low as i8) & 0xffff | i32::from(high as i8) << 16;
        let lane = |i: usize| -> [u8; 4] { first(&bytes[4 * i..]) };
        let widened = |k: usize| std::array::from_fn(|i| two(lane(i)[k], lane(i)[k + 2]));
        (widened(0), widened(1))
    }

    #[inline(always)]
    fn pair(self, pair: i32) -> Self::Whole {
        [pair; PLAIN]
    }

    #[inline(always)]
    fn dot(self, a: Self::Whole, b: Self::Whole, sum: Self::Whole) -> Self::Whole {
        let low = |v: i32| i32::from(v as i16);
        std::array::from_fn(|i| sum[i] + low(a[i]) * low(b[i]) + (a[i] >> 16) * (b[i] >> 16))
    }

    #[inline(always)]
    fn reals(self, from: &[u8]) -> Self::Real {
        std::array::from_fn(|i| f32::from_ne_bytes(first(&from[4 * i..])))
    }

    #[inline(always)]
    fn add_scaled(
        self,
        whole: Self::Whole,
        (scales, scale): (Self::Real, f32),
        sum: Self::Real,
    ) -> Self::Real {
        std::array::from_fn(|i| (whole[i] as f32).mul_add(scales[i] * scale, sum[i]))
    }

    #[inline(always)]
    fn add_least(self, least: Self::Real, sum_of_x: f32, sum: Self::Real) -> Self::Real {
        std::array::from_fn(|i| least[i].mul_add(sum_of_x, sum[i]))
    }

    #[inline(always)]
    fn store(self, from: Self::Real, to: &mut [f32]) {
        to[..PLAIN].copy_from_slice(&from);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Dots, first};
    use pulp::{
        cast,
        x86::{V3, V4},
    };
    use std::arch::x86_64::{__m256, __m256i, __m512, __m512i};

    impl Dots for V4 {
        const LANES: usize = 16;
        type Whole = __m512i;
        type Real = __m512;

        #[inline(always)]
        fn no_whole(self) -> __m512i {
            self.avx512f._mm512_setzero_si512()
        }

        #[inline(always)]
        fn no_real(self) -> __m512 {
            self.avx512f._mm512_setzero_ps()
        }

        #[inline(always)]
        fn widened(self, bytes: &[u8]) -> (__m512i, __m512i) {
            let all: __m512i = cast(first::<u8, 64>(bytes));
            let low = self.avx512bw._mm512_slli_epi16::<8>(all);
            let low = self.avx512bw._mm512_srai_epi16::<8>(low);
            (low, self.avx512bw._mm512_srai_epi16::<8>(all))
        }

        #[inline(always)]
        fn pair(self, pair: i32) -> __m512i {
            self.avx512f._mm512_set1_epi32(pair)
        }

        #[inline(always)]
        fn dot(self, a: __m512i, b: __m512i, sum: __m512i) -> __m512i {
            // One instruction where the processor has it: see `Vnni`.
            let products = self.avx512bw._mm512_madd_epi16(a, b);
            self.avx512f._mm512_add_epi32(sum, products)
        }

        #[inline(always)]
        fn reals(self, from: &[u8]) -> __m512 {
            cast(first::<u8, 64>(from))
        }

        #[inline(always)]
        fn add_scaled(self, whole: __m512i, (scales, scale): (__m512, f32), sum: __m512) -> __m512 {
            let scale = self.avx512f._mm512_set1_ps(scale);
            let scale = self.avx512f._mm512_mul_ps(scales, scale);
            let whole = self.avx512f._mm512_cvtepi32_ps(whole);
            self.avx512f._mm512_fmadd_ps(whole, scale, sum)
        }

        #[inline(always)]
        fn add_least(self, least: __m512, sum_of_x: f32, sum: __m512) -> __m512 {
            let sum_of_x = self.avx512f._mm512_set1_ps(sum_of_x);
            self.avx512f._mm512_fmadd_ps(least, sum_of_x, sum)
        }

        #[inline(always)]
        fn store(self, from: __m512, to: &mut [f32]) {
            to[..16].copy_from_slice(&cast::<_, [f32; 16]>(from));
        }
    }

    impl Dots for V3 {
        const LANES: usize = 8;
        type Whole = __m256i;
        type Real = __m256;

        #[inline(always)]
        fn no_whole(self) -> __m256i {
            self.avx._mm256_setzero_si256()
        }

        #[inline(always)]
        fn no_real(self) -> __m256 {
            self.avx._mm256_setzero_ps()
        }

        #[inline(always)]
        fn widened(self, bytes: &[u8]) -> (__m256i, __m256i) {
            let all: __m256i = cast(first::<u8, 32>(bytes));
            let low = self.avx2._mm256_slli_epi16::<8>(all);
            let low = self.avx2._mm256_srai_epi16::<8>(low);
            (low, self.avx2._mm256_srai_epi16::<8>(all))
        }

        #[inline(always)]
        fn pair(self, pair: i32) -> __m256i {
            self.avx._mm256_set1_epi32(pair)
        }

        #[inline(always)]
        fn dot(self, a: __m256i, b: __m256i, sum: __m256i) -> __m256i {
            let products = self.avx2._mm256_madd_epi16(a, b);
            self.avx2._mm256_add_epi32(sum, products)
        }

        #[inline(always)]
        fn reals(self, from: &[u8]) -> __m256 {
            cast(first::<u8, 32>(from))
        }

        #[inline(always)]
        fn add_scaled(self, whole: __m256i, (scales, scale): (__m256, f32), sum: __m256) -> __m256 {
            let scale = self.avx._mm256_set1_ps(scale);
            let scale = self.avx._mm256_mul_ps(scales, scale);
            let whole = self.avx._mm256_cvtepi32_ps(whole);
            self.fma._mm256_fmadd_ps(whole, scale, sum)
        }

        #[inline(always)]
        fn add_least(self, least: __m256, sum_of_x: f32, sum: __m256) -> __m256 {
            let sum_of_x = self.avx._mm256_set1_ps(sum_of_x);
            self.fma._mm256_fmadd_ps(least, sum_of_x, sum)
        }

        #[inline(always)]
        fn store(self, from: __m256, to: &mut [f32]) {
            to[..8].copy_from_slice(&cast::<_, [f32; 8]>(from));
        }
    }
}
