//! 4-bit NormalFloat with double quantisation (Dettmers et al. 2023, QLoRA).
//!
//! A block of 64 numbers is scaled by its largest magnitude and each number becomes the nearest of 16 levels, which are
//! quantiles of the normal distribution. The scales, less their mean, are kept at 8 bits in blocks of 256.

use candle_core::{Device, Result, Shape, Tensor};
use rayon::prelude::*;

/// Numbers that share a scale.
const BLOCK: usize = 64;
/// Scales that share a scale.
const SCALES: usize = 256;

/// The published levels.
const LEVELS: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A tensor in blocks.
pub(crate) struct Nf4 {
    shape: Shape,
    /// Two levels a byte, the first in the low half.
    levels: Vec<u8>,
    /// Of each block.
    scales: Vec<i8>,
    /// Of each [`SCALES`] scales.
    steps: Vec<f32>,
    /// The mean of all scales.
    mean: f32,
    /// The same on a device, where it is not the processor that needs it.
    there: Option<There>,
}

/// Levels and scales on a device that has no operations on half bytes: a byte is looked up in a table of pairs.
struct There {
    /// `[bytes]`
    bytes: Tensor,
    /// `[256, 2]`, f32.
    pairs: Tensor,
    /// `[blocks, 1]`, f32. They take a quarter of what the levels take: kept whole, one launch less for every product.
    scales: Tensor,
}

impl Nf4 {
    pub(crate) fn new(dense: &Tensor) -> Result<Self> {
        let numbers = dense.flatten_all()?.to_vec1::<f32>()?;
        let largest: Vec<f32> = numbers
            .par_chunks(BLOCK)
            .map(|block| block.iter().fold(0f32, |most, x| most.max(x.abs())))
            .collect();
        let mean = largest.iter().sum::<f32>() / largest.len().max(1) as f32;
        let (scales, steps) = quantise_scales(&largest, mean);
        let mut out = Self {
            shape: dense.shape().clone(),
            levels: Vec::new(),
            scales,
            steps,
            mean,
            there: None,
        };
        let blocks = numbers.par_chunks(BLOCK).enumerate();
        let bytes = blocks.flat_map_iter(|(i, block)| {
            let scale = out.scale(i);
            let level = move |x: &f32| nearest(x / scale.max(f32::MIN_POSITIVE));
            let pairs = block.chunks(2);
            pairs.map(move |pair| level(&pair[0]) | pair.get(1).map_or(0, level) << 4)
        });
        out.levels = bytes.collect();
        Ok(out)
    }

    /// The scale of a block as it is kept: levels are chosen for that one.
    fn scale(&self, block: usize) -> f32 {
        f32::from(self.scales[block]) * self.steps[block / SCALES] + self.mean
    }

    /// Moves it to a device.
    pub(crate) fn moved_to(mut self, device: &Device) -> Result<Self> {
        if !device.is_cpu() {
            self.there = Some(self.on(device)?);
            (self.levels, self.scales, self.steps) = (Vec::new(), Vec::new(), Vec::new());
        }
        Ok(self)
    }

    fn on(&self, device: &Device) -> Result<There> {
        let blocks = self.scales.len();
        // A last block that is short is filled up.
        let mut bytes = self.levels.clone();
        bytes.resize(blocks * BLOCK / 2, 0);
        let pairs = (0..=255u8).flat_map(|b| [b & 15, b >> 4].map(|i| LEVELS[usize::from(i)]));
        let scales = (0..blocks).map(|i| self.scale(i)).collect::<Vec<f32>>();
        Ok(There {
            bytes: Tensor::from_vec(bytes, blocks * BLOCK / 2, device)?,
            pairs: Tensor::from_vec(pairs.collect::<Vec<f32>>(), (256, 2), device)?,
            scales: Tensor::from_vec(scales, (blocks, 1), device)?,
        })
    }

    pub(crate) fn dense(&self) -> Result<Tensor> {
        if let Some(there) = &self.there {
            return there.dense(&self.shape);
        }
        let mut numbers = vec![0f32; self.shape.elem_count()];
        let blocks = numbers.par_chunks_mut(BLOCK).enumerate();
        blocks.for_each(|(i, block)| {
            let scale = self.scale(i);
            let bytes = &self.levels[i * BLOCK / 2..];
            for (pair, byte) in block.chunks_mut(2).zip(bytes) {
                pair[0] = LEVELS[usize::from(byte & 15)] * scale;
                if let Some(second) = pair.get_mut(1) {
                    *second = LEVELS[usize::from(byte >> 4)] * scale;
                }
            }
        });
        Tensor::from_vec(numbers, &self.shape, &Device::Cpu)
    }
}

impl There {
    fn dense(&self, shape: &Shape) -> Result<Tensor> {
        let blocks = self.scales.dim(0)?;
        let numbers = self.pairs.index_select(&self.bytes, 0)?;
        let numbers = numbers
            .reshape((blocks, BLOCK))?
            .broadcast_mul(&self.scales)?;
        let all = numbers.flatten_all()?;
        all.narrow(0, 0, shape.elem_count())?.reshape(shape)
    }
}

fn quantise_scales(scales: &[f32], mean: f32) -> (Vec<i8>, Vec<f32>) {
    let step = |block: &[f32]| {
        let most = block
            .iter()
            .fold(0f32, |most, s| most.max((s - mean).abs()));
        (most / 127.0).max(f32::MIN_POSITIVE)
    };
    let steps: Vec<f32> = scales.chunks(SCALES).map(step).collect();
    let quantised = scales
        .iter()
        .enumerate()
        .map(|(i, s)| ((s - mean) / steps[i / SCALES]).round() as i8);
    (quantised.collect(), steps)
}

/// The number of the level nearest to `x`.
fn nearest(x: f32) -> u8 {
    let above = LEVELS.partition_point(|level| *level < x).min(15);
    let below = above.saturating_sub(1);
    let nearer_below = x - LEVELS[below] < LEVELS[above] - x;
    (if nearer_below { below } else { above }) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_come_back_and_others_go_to_the_nearest() {
        for (i, level) in LEVELS.iter().enumerate() {
            assert_eq!(usize::from(nearest(*level)), i);
        }
        assert_eq!((nearest(-7.0), nearest(7.0), nearest(0.03)), (0, 15, 7));
        assert_eq!(nearest(0.05), 8);
    }

    #[test]
    fn numbers_are_within_half_a_gap_of_their_blocks_scale() {
        // The last block is a short one, and one is all zeros.
        let count = BLOCK * 300 + 10;
        let number = |i: usize| {
            let wave = ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * (1 + i / BLOCK) as f32 / 100.0;
            if i / BLOCK == 5 { 0.0 } else { wave }
        };
        let numbers: Vec<f32> = (0..count).map(number).collect();
        let tensor = Tensor::from_vec(numbers.clone(), count, &Device::Cpu).unwrap();
        let back = Nf4::new(&tensor).unwrap().dense().unwrap();
        let back = back.to_vec1::<f32>().unwrap();
        for (block, (before, after)) in numbers.chunks(BLOCK).zip(back.chunks(BLOCK)).enumerate() {
            let scale = before.iter().fold(0f32, |most, x| most.max(x.abs()));
            // The widest gap is 0.304; the scale itself is off by half a step of its own.
            let most = 0.16 * scale + 0.02;
            for (a, b) in before.iter().zip(after) {
                assert!((a - b).abs() <= most, "{block}: {a} {b}");
            }
        }
        assert!(back[5 * BLOCK..6 * BLOCK].iter().all(|x| *x == 0.0));
    }

    #[test]
    fn numbers_are_the_same_by_way_of_the_table() {
        let number = |i: usize| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * (1 + i / 700) as f32;
        let numbers: Vec<f32> = (0..37 * 70).map(number).collect();
        let nf4 = Nf4::new(&Tensor::from_vec(numbers, (37, 70), &Device::Cpu).unwrap()).unwrap();
        let here = nf4.dense().unwrap().to_vec2::<f32>().unwrap();
        let there = nf4.on(&Device::Cpu).unwrap().dense(&nf4.shape).unwrap();
        assert_eq!(here, there.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn a_number_takes_about_half_a_byte() {
        let tensor = Tensor::ones((1000, 512), candle_core::DType::F32, &Device::Cpu).unwrap();
        let nf4 = Nf4::new(&tensor).unwrap();
        let bytes = nf4.levels.len() + nf4.scales.len() + 4 * nf4.steps.len();
        assert!(bytes as f64 / 512_000.0 < 0.52, "{bytes}");
    }
}
