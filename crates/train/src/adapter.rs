//! The matrices that learn.

use crate::{
    error::Result,
    ops::{Dropout, drop_some},
};
use candle_core::{DType, Device, Tensor, Var};
use domain::hash::Hash;
use model::{
    base::Config,
    lora::{Lora, Place, Target, names},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// The two matrices of one adapted matrix.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// `[rank, columns]`
    pub(crate) a: Var,
    /// `[rows, rank]`
    pub(crate) b: Var,
}

/// All pairs of a base: what is trained.
#[derive(Clone, Debug)]
pub struct Adapter {
    lora: Lora,
    pairs: BTreeMap<Place, Pair>,
}

impl Adapter {
    /// A new adapter, which changes nothing yet: A is drawn from the seed as PEFT draws it (uniform up to
    /// 1 / sqrt(columns)), B is zero.
    ///
    /// # Errors
    /// When the options can not be followed.
    pub fn new(lora: Lora, config: &Config, seed: u64) -> Result<Self> {
        lora.check()?;
        let mut pairs = BTreeMap::new();
        for layer in 0..config.layers {
            for target in &lora.targets {
                let (rows, columns) = target.shape(config);
                let a = uniform(lora.rank, columns, draws(seed, layer, *target))?;
                let b = Tensor::zeros((rows, lora.rank), a.dtype(), &Device::Cpu)?;
                pairs.insert((layer, *target), Pair::new(&a, &b)?);
            }
        }
        Ok(Self { lora, pairs })
    }

    pub(crate) fn from_pairs(lora: Lora, pairs: BTreeMap<Place, Pair>) -> Self {
        Self { lora, pairs }
    }

    /// Its options.
    pub fn lora(&self) -> &Lora {
        &self.lora
    }

    /// How many numbers learn.
    pub fn parameters(&self) -> usize {
        self.tensors().map(|(_, var)| var.elem_count()).sum()
    }

    /// The same numbers on a device, where they learn by themselves.
    pub(crate) fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        let of = |(place, pair): (&Place, &Pair)| {
            // A variable of a variable would be the same one.
            let moved = |var: &Var| var.as_detached_tensor().to_device(device);
            Ok((*place, Pair::new(&moved(&pair.a)?, &moved(&pair.b)?)?))
        };
        let pairs = self.pairs.iter().map(of);
        Ok(Self {
            lora: self.lora.clone(),
            pairs: pairs.collect::<candle_core::Result<_>>()?,
        })
    }

    /// A hash of its numbers.
    pub(crate) fn digest(&self) -> candle_core::Result<Hash> {
        let mut parts = Vec::new();
        for (name, var) in self.tensors() {
            let numbers = var.flatten_all()?.to_vec1::<f32>()?;
            parts.push(name.into_bytes());
            parts.push(numbers.into_iter().flat_map(f32::to_le_bytes).collect());
        }
        Ok(Hash::of(parts))
    }

    /// Every tensor that learns, by PEFT's name.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (String, &Var)> {
        self.pairs.iter().flat_map(|(place, pair)| {
            let [a, b] = names(*place);
            [(a, &pair.a), (b, &pair.b)]
        })
    }

    /// A and B of a place, where it has them.
    pub(crate) fn pair(&self, place: Place) -> Option<[&Tensor; 2]> {
        let pair = self.pairs.get(&place)?;
        Some([pair.a.as_tensor(), pair.b.as_tensor()])
    }

    /// What the adapter adds to a product with x of `[n, columns]` in f32, where the place has one; multiplied in `dtype`.
    pub(crate) fn forward(
        &self,
        place: Place,
        x: &Tensor,
        dropout: Option<Dropout>,
        dtype: DType,
    ) -> candle_core::Result<Option<Tensor>> {
        let Some(Pair { a, b }) = self.pairs.get(&place) else {
            return Ok(None);
        };
        let x = drop_some(x, dropout)?.to_dtype(dtype)?;
        let small = x.matmul(&a.as_tensor().to_dtype(dtype)?.t()?)?;
        // Scaled where it is small.
        let small = (small * self.lora.scale())?;
        let more = small.matmul(&b.as_tensor().to_dtype(dtype)?.t()?)?;
        more.to_dtype(DType::F32).map(Some)
    }

    /// What the adapter adds to the matrix of a place.
    pub(crate) fn delta(&self, place: Place) -> candle_core::Result<Option<Tensor>> {
        let Some(Pair { a, b }) = self.pairs.get(&place) else {
            return Ok(None);
        };
        let product = b.as_tensor().matmul(a.as_tensor())?;
        Ok(Some((product * self.lora.scale())?.detach()))
    }
}

impl Pair {
    pub(crate) fn new(a: &Tensor, b: &Tensor) -> candle_core::Result<Self> {
        Ok(Self {
            a: Var::from_tensor(a)?,
            b: Var::from_tensor(b)?,
        })
    }
}

/// Draws of a matrix, whatever other matrices there are.
fn draws(seed: u64, layer: usize, target: Target) -> ChaCha8Rng {
    let parts = [
        b"lora a".to_vec(),
        seed.to_le_bytes().to_vec(),
        format!("{layer} {target}").into_bytes(),
    ];
    ChaCha8Rng::seed_from_u64(Hash::of(parts).seed())
}

fn uniform(rows: usize, columns: usize, mut draws: ChaCha8Rng) -> candle_core::Result<Tensor> {
    let most = 1.0 / (columns as f64).sqrt();
    let one = |bits: u32| ((f64::from(bits) / f64::from(u32::MAX) * 2.0 - 1.0) * most) as f32;
    let numbers = (0..rows * columns).map(|_| one(draws.next_u32()));
    Tensor::from_vec(numbers.collect::<Vec<f32>>(), (rows, columns), &Device::Cpu)
}
