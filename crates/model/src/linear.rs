//! Matrix products with constant weights: the place where nearly all the time goes.

use crate::{
    error::{Error, Result},
    lora::{self, Factors},
    packed::Packed,
    quants::{self, Quants},
    weights::Weight,
};
use candle_core::{
    Device, Module, Tensor,
    quantized::{GgmlDType, QMatMul, QTensor},
};
use std::{fmt, ops::Range, str::FromStr};

/// How weights are kept in memory.
///
/// Blocks of whole numbers (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0) take a byte a number and a scale, and are the quickest for all
/// that is read or written: products with them are our own. They stay what they are in the file, number for number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// [`Precision::Native`] where the file has nothing but blocks of whole numbers, else [`Precision::F32`] for models of
    /// at most 2 GiB in f32, else [`Precision::Mixed`].
    #[default]
    Auto,
    /// Plain numbers.
    F32,
    /// All matrices in 8-bit blocks: a quarter of the memory.
    Q8_0,
    /// As the file has them.
    Native,
    /// As the file has them, but plain numbers in 8-bit blocks.
    Mixed,
}

const NAMES: [(Precision, &str); 5] = [
    (Precision::Auto, "auto"),
    (Precision::F32, "f32"),
    (Precision::Q8_0, "q8_0"),
    (Precision::Native, "native"),
    (Precision::Mixed, "mixed"),
];

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES
            .iter()
            .find(|(p, _)| p == self)
            .map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        NAMES
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(p, _)| *p)
            .ok_or_else(|| {
                let known: Vec<_> = NAMES.iter().map(|(_, n)| *n).collect();
                Error::load(format!(
                    "unknown precision {name:?}; it is one of {}",
                    known.join(", ")
                ))
            })
    }
}

/// The largest model that [`Precision::Auto`] keeps in f32, in bytes.
const F32_LIMIT: usize = 2 << 30;

impl Precision {
    /// What [`Precision::Auto`] means for a model of `elements` numbers, of which the matrices are all `quants` or not:
    /// blocks of whole numbers.
    pub(crate) fn resolve(self, elements: usize, quants: bool) -> Self {
        match self {
            Self::Auto if quants => Self::Native,
            Self::Auto if elements.saturating_mul(4) <= F32_LIMIT => Self::F32,
            Self::Auto => Self::Mixed,
            other => other,
        }
    }

    /// The block type that a matrix of type `found` with rows of `columns` is kept in; `None` is f32.
    fn block_type(self, found: GgmlDType, columns: usize) -> Option<GgmlDType> {
        use GgmlDType::{BF16, F16, F32, Q8_0};
        let plain = matches!(found, F32 | F16 | BF16);
        let wanted = match self {
            Self::Auto | Self::F32 => None,
            Self::Q8_0 => Some(Q8_0),
            Self::Mixed if plain => Some(Q8_0),
            Self::Native if plain => None,
            Self::Native | Self::Mixed => Some(found),
        };
        wanted.filter(|t| columns.is_multiple_of(t.block_size()))
    }
}

/// y = x W^T for one or several matrices W that read the same x; their outputs lie side by side. An adapter adds to some
/// of them, for some rows of x.
pub(crate) struct Linear {
    parts: Vec<Matrix>,
    columns: usize,
    rows: usize,
    factors: Vec<Factors>,
}

enum Matrix {
    Dense(Packed),
    /// Blocks of whole numbers.
    Quants(Quants),
    /// Other blocks, by candle's kernels.
    Blocks(QMatMul),
}

/// Matrices that follow each other and are kept alike are one matrix: one product instead of several.
#[derive(Default)]
struct Gathered {
    parts: Vec<Matrix>,
    dense: Vec<f32>,
    blocks: Vec<quants::Block>,
    columns: usize,
}

impl Gathered {
    fn push(&mut self, weight: Weight) -> candle_core::Result<()> {
        match weight {
            Weight::Dense(tensor) => {
                self.end_blocks();
                self.dense.extend(take(tensor)?);
            }
            Weight::Blocks(tensor) if quants::is_read(tensor.dtype()) => {
                self.end_dense();
                self.blocks.extend(quants::read(&tensor)?);
            }
            Weight::Blocks(tensor) => {
                self.end_dense();
                self.end_blocks();
                self.parts
                    .push(Matrix::Blocks(QMatMul::from_qtensor(tensor)?));
            }
        }
        Ok(())
    }

    fn end_dense(&mut self) {
        let dense = std::mem::take(&mut self.dense);
        if !dense.is_empty() {
            self.parts
                .push(Matrix::Dense(Packed::new(&dense, self.columns)));
        }
    }

    fn end_blocks(&mut self) {
        let blocks = std::mem::take(&mut self.blocks);
        if !blocks.is_empty() {
            self.parts
                .push(Matrix::Quants(Quants::new(&blocks, self.columns)));
        }
    }

    fn end(mut self) -> Vec<Matrix> {
        self.end_dense();
        self.end_blocks();
        self.parts
    }
}

impl Linear {
    /// Prepares weights of `[rows, columns]` each, all with the same columns.
    pub(crate) fn new(weights: Vec<Weight>, precision: Precision) -> candle_core::Result<Self> {
        let (mut gathered, mut rows) = (Gathered::default(), 0);
        for weight in weights {
            let (r, c) = weight.dims2()?;
            (rows, gathered.columns) = (rows + r, c);
            gathered.push(weight.into_blocks(precision)?)?;
        }
        Ok(Self {
            columns: gathered.columns,
            parts: gathered.end(),
            rows,
            factors: Vec::new(),
        })
    }

    /// With an adapter beside it.
    pub(crate) fn tuned(mut self, factors: Vec<Factors>) -> Self {
        self.factors = factors;
        self
    }

    /// `x` is `[n, columns]`, the result `[n, rows]`; the adapter takes part in the rows `tuned`.
    pub(crate) fn forward(
        &self,
        x: Vec<f32>,
        tuned: &[Range<usize>],
    ) -> candle_core::Result<Vec<f32>> {
        let sums = lora::sums(&self.factors, (&x, self.columns), tuned);
        let mut out = self.frozen(x)?;
        lora::add(&self.factors, &sums, (&mut out, self.rows), tuned);
        Ok(out)
    }

    fn frozen(&self, x: Vec<f32>) -> candle_core::Result<Vec<f32>> {
        match self.parts.as_slice() {
            [Matrix::Dense(packed)] => return Ok(packed.product(&x)),
            [Matrix::Quants(quants)] => return Ok(quants.product(&x)),
            _ => {}
        }
        let n = x.len() / self.columns;
        let x = Tensor::from_vec(x, (n, self.columns), &Device::Cpu)?;
        let outputs: Vec<_> = self
            .parts
            .iter()
            .map(|part| part.forward(&x))
            .collect::<Result<_, _>>()?;
        take(Tensor::cat(&outputs, 1)?)
    }

    /// The bytes of its blocks of whole numbers.
    pub(crate) fn bytes(&mut self) -> impl Iterator<Item = &mut quants::Bytes> {
        self.parts.iter_mut().filter_map(|part| match part {
            Matrix::Quants(quants) => Some(&mut quants.bytes),
            _ => None,
        })
    }

    /// Width of the output.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

impl Matrix {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (out, rows) = match self {
            Self::Dense(packed) => (packed.product(&take(x.clone())?), packed.rows()),
            Self::Quants(quants) => (quants.product(&take(x.clone())?), quants.rows()),
            Self::Blocks(blocks) => return blocks.forward(x),
        };
        Tensor::from_vec(out, (x.dim(0)?, rows), &Device::Cpu)
    }
}

/// The numbers of a contiguous f32 tensor.
fn take(tensor: Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

impl Weight {
    /// Turns the weight into what `precision` asks for: blocks, or plain numbers.
    fn into_blocks(self, precision: Precision) -> candle_core::Result<Self> {
        let (_, columns) = self.dims2()?;
        let found = match &self {
            Self::Dense(_) => GgmlDType::F32,
            Self::Blocks(blocks) => blocks.dtype(),
        };
        Ok(match (precision.block_type(found, columns), self) {
            (None, weight) => Self::Dense(weight.dense()?),
            (Some(wanted), Self::Blocks(blocks)) if wanted == found => Self::Blocks(blocks),
            (Some(wanted), weight) => Self::Blocks(QTensor::quantize(&weight.dense()?, wanted)?),
        })
    }
}

/// Rows of numbers looked up by token.
pub(crate) struct Embedding {
    weight: Weight,
}

impl Embedding {
    /// Keeps the rows as `precision` says.
    pub(crate) fn new(weight: Weight, precision: Precision) -> candle_core::Result<Self> {
        Ok(Self {
            weight: weight.into_blocks(precision)?,
        })
    }

    /// The rows of `tokens`, `[n, width]`.
    pub(crate) fn forward(&self, tokens: &[u32]) -> candle_core::Result<Vec<f32>> {
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        match &self.weight {
            Weight::Dense(rows) => take(rows.index_select(&ids, 0)?),
            Weight::Blocks(blocks) => take(blocks.embedding(&ids)?),
        }
    }
}
