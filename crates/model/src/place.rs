//! Where a model computes, and in which numbers.

use crate::error::Error;
use candle_core::{DType, Device};
use std::{fmt, str::FromStr};

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Processor {
    /// This machine's processor.
    #[default]
    Cpu,
    /// The first CUDA device; only in programs built with the feature `cuda`.
    Cuda,
}

/// What weights and products are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numbers {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of f32.
    Bf16,
    /// 16 bits of IEEE 754.
    F16,
}

/// A processor and its numbers.
///
/// f32 on the processor is what loops of our own are for. All else runs in tensor operations; for reward models
/// `docs/reward.md` says how far half precision is from f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// What computes.
    pub processor: Processor,
    /// In which numbers.
    pub numbers: Numbers,
}

impl Place {
    /// Whether this is f32 on the processor.
    pub(crate) fn is_quick(self) -> bool {
        self == Self::default()
    }

    /// The device and number type.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn open(self) -> Result<(Device, DType), Error> {
        let dtype = match self.numbers {
            Numbers::F32 => DType::F32,
            Numbers::Bf16 => DType::BF16,
            Numbers::F16 => DType::F16,
        };
        let device = match self.processor {
            Processor::Cpu => Device::Cpu,
            Processor::Cuda => cuda()?,
        };
        // Whoever keeps weights in 8 bits of precision does not need 24 in their products.
        #[cfg(feature = "cuda")]
        if self.numbers == Numbers::Bf16 {
            candle_core::cuda::set_gemm_reduced_precision_f32(true);
        }
        Ok((device, dtype))
    }
}

fn cuda() -> Result<Device, Error> {
    if !cfg!(feature = "cuda") {
        return Err(Error::load(
            "device is \"cuda\", and this program was built without CUDA: build it with --features cuda where the CUDA \
             toolkit is (scripts/check-cuda says how), or say device = \"cpu\"",
        ));
    }
    Device::new_cuda(0).map_err(|e| {
        Error::load(format!(
            "device is \"cuda\", and no CUDA device answers: {e}; look at nvidia-smi, or say device = \"cpu\""
        ))
    })
}

const PROCESSORS: [(Processor, &str); 2] = [(Processor::Cpu, "cpu"), (Processor::Cuda, "cuda")];
const NUMBERS: [(Numbers, &str); 3] = [
    (Numbers::F32, "f32"),
    (Numbers::Bf16, "bf16"),
    (Numbers::F16, "f16"),
];

impl FromStr for Processor {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        of_word(&PROCESSORS, word)
    }
}

impl FromStr for Numbers {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        of_word(&NUMBERS, word)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processor = word_of(&PROCESSORS, self.processor);
        write!(f, "{processor} {}", word_of(&NUMBERS, self.numbers))
    }
}

fn of_word<T: Copy>(words: &[(T, &str)], word: &str) -> Result<T, String> {
    let found = words.iter().find(|(_, known)| *known == word);
    let known: Vec<&str> = words.iter().map(|(_, known)| *known).collect();
    found
        .map(|(value, _)| *value)
        .ok_or_else(|| format!("it is one of {}", known.join(", ")))
}

fn word_of<T: PartialEq>(words: &[(T, &'static str)], value: T) -> &'static str {
    let found = words.iter().find(|(known, _)| *known == value);
    found.map_or("", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_words() {
        let place = Place {
            processor: "cuda".parse().unwrap(),
            numbers: "bf16".parse().unwrap(),
        };
        assert_eq!(place.to_string(), "cuda bf16");
        assert_eq!(Place::default().to_string(), "cpu f32");
        assert_eq!(
            "f64".parse::<Numbers>().unwrap_err(),
            "it is one of f32, bf16, f16"
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_is_not_built_in_says_the_way_out() {
        let place = Place {
            processor: Processor::Cuda,
            numbers: Numbers::Bf16,
        };
        let say = place.open().unwrap_err().to_string();
        assert!(
            say.contains("--features cuda") && say.contains("\"cpu\""),
            "{say}"
        );
    }
}
