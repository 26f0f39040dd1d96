//! The block types of GGUF files that are whole numbers with a scale.

use super::BLOCK;
use candle_core::quantized::{GgmlDType, QTensor};

/// [`BLOCK`] numbers of a row: each is `number * scale + least`.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) scale: f32,
    pub(crate) least: f32,
    pub(crate) numbers: [i8; BLOCK],
}

/// Whether [`read`] knows the type.
pub(crate) fn is_read(kind: GgmlDType) -> bool {
    use GgmlDType::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
    matches!(kind, Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0)
}

/// The blocks of a tensor of a type that [`is_read`].
pub(crate) fn read(tensor: &QTensor) -> candle_core::Result<Vec<Block>> {
    let kind = tensor.dtype();
    let data = tensor.data()?;
    let blocks = data.chunks_exact(kind.type_size());
    Ok(blocks.map(|bytes| block(kind, bytes)).collect())
}

/// One block from its bytes: scale, perhaps the least value, perhaps fifth bits, numbers.
fn block(kind: GgmlDType, bytes: &[u8]) -> Block {
    use GgmlDType::{Q4_1, Q5_0, Q5_1, Q8_0};
    let scale = half([bytes[0], bytes[1]]);
    let (mut least, mut at) = (0.0, 2);
    if matches!(kind, Q4_1 | Q5_1) {
        (least, at) = (half([bytes[2], bytes[3]]), 4);
    }
    if kind == Q8_0 {
        return Block {
            scale,
            least,
            numbers: std::array::from_fn(|i| bytes[at + i] as i8),
        };
    }
    let mut fifth = 0;
    if matches!(kind, Q5_0 | Q5_1) {
        fifth = u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        at += 4;
    }
    // The types without a least value count from the middle.
    let middle = match kind {
        Q4_1 | Q5_1 => 0,
        Q5_0 => 16,
        _ => 8,
    };
    let number = |i: usize| {
        let two = bytes[at + i % (BLOCK / 2)];
        let four = if i < BLOCK / 2 { two & 15 } else { two >> 4 };
        (four | ((fifth >> i & 1) as u8) << 4) as i8 - middle
    };
    Block {
        scale,
        least,
        numbers: std::array::from_fn(number),
    }
}

/// A number of 16 bits, little end first.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    if bits & 0x7c00 == 0x7c00 {
        return f32::NAN;
    }
    // The exponent counts from 15 there and from 127 here.
    let size = f32::from_bits((bits & 0x7fff) << 13) * 2f32.powi(112);
    if bits & 0x8000 == 0 { size } else { -size }
}
