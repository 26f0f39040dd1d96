//! Matrices that training leaves alone: their products have a gradient for the input and none for themselves.
//!
//! candle's own product computes both gradients, also for a constant, and keeps them: 1.4 times the work and 1.6 times
//! the memory of a LoRA step. Its product with quantised matrices has no gradient at all. Here any kind of storage
//! becomes plain numbers for the length of one product: f32, or what the device multiplies in.

use crate::{error::Error, nf4::Nf4};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, DType, Device, Layout, Result, Shape, Storage, Tensor,
    backend::BackendStorage,
    bail,
    quantized::{GgmlDType, QTensor},
};
use std::{fmt, str::FromStr, sync::Arc};

/// How the base's matrices are kept in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// 4 bytes a number: exact.
    #[default]
    F32,
    /// 2 bytes a number.
    Bf16,
    /// Blocks of 32 at 8 bits: 1.06 bytes a number.
    Q8_0,
    /// Blocks of 64 at 4 bits, with doubly quantised scales, as in QLoRA: 0.52 bytes a number.
    Nf4,
}

const NAMES: [(Keep, &str); 4] = [
    (Keep::F32, "f32"),
    (Keep::Bf16, "bf16"),
    (Keep::Q8_0, "q8_0"),
    (Keep::Nf4, "nf4"),
];

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(keep, _)| keep == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Keep {
    type Err = Error;

    fn from_str(name: &str) -> std::result::Result<Self, Error> {
        let found = NAMES.iter().find(|(_, n)| *n == name);
        found.map(|(keep, _)| *keep).ok_or_else(|| {
            Error::plan(format!(
                "weights can not be kept as {name:?}: it is one of f32, bf16, q8_0, nf4"
            ))
        })
    }
}

impl Keep {
    /// How what has to stay exact is kept (embedding and head): never in blocks.
    pub(crate) fn plain(self) -> Self {
        match self {
            Self::F32 => Self::F32,
            _ => Self::Bf16,
        }
    }
}

enum Kept {
    Plain(Tensor),
    Blocks(QTensor),
    Nf4(Nf4),
}

/// What computes, and the type of numbers that matrices are multiplied in.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

impl Ground {
    /// f32 on the processor.
    pub(crate) fn is_usual(&self) -> bool {
        self.device.is_cpu() && self.dtype == DType::F32
    }
}

/// A matrix `[rows, columns]`.
#[derive(Clone)]
pub(crate) struct Frozen {
    kept: Arc<Kept>,
    ground: Ground,
}

impl Frozen {
    /// Of a matrix on the processor.
    pub(crate) fn new(dense: Tensor, keep: Keep, ground: &Ground) -> Result<Self> {
        let (_, columns) = dense.dims2()?;
        let device = &ground.device;
        let half = || dense.to_dtype(DType::BF16)?.to_device(device);
        let kept = match keep {
            Keep::F32 => Kept::Plain(dense.contiguous()?.to_device(device)?),
            Keep::Bf16 => Kept::Plain(half()?),
            // Rows that do not make whole blocks, as candle's readers do.
            Keep::Q8_0 if !columns.is_multiple_of(GgmlDType::Q8_0.block_size()) => {
                Kept::Plain(half()?)
            }
            Keep::Q8_0 => Kept::Blocks(blocks(&dense, device)?),
            Keep::Nf4 => Kept::Nf4(Nf4::new(&dense)?.moved_to(device)?),
        };
        Ok(Self {
            kept: Arc::new(kept),
            ground: ground.clone(),
        })
    }

    /// The matrix in the ground's numbers: as it is where it is kept so, else a copy.
    pub(crate) fn dense(&self) -> Result<Tensor> {
        let dense = match &*self.kept {
            Kept::Plain(tensor) => tensor.clone(),
            Kept::Blocks(blocks) => blocks.dequantize(&self.ground.device)?,
            Kept::Nf4(nf4) => nf4.dense()?,
        };
        dense.to_dtype(self.ground.dtype)
    }

    /// Some rows in f32.
    pub(crate) fn rows(&self, indices: &Tensor) -> Result<Tensor> {
        let rows = match &*self.kept {
            Kept::Plain(tensor) => tensor.index_select(indices, 0)?,
            Kept::Blocks(_) | Kept::Nf4(_) => self.dense()?.index_select(indices, 0)?,
        };
        rows.to_dtype(DType::F32)
    }

    /// x W^T for x of `[n, columns]` in f32, in f32; multiplied in the ground's numbers.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(self.ground.dtype)?;
        x.apply_op1(Product(self.clone()))?.to_dtype(DType::F32)
    }
}

fn blocks(dense: &Tensor, device: &Device) -> Result<QTensor> {
    match device.is_cpu() {
        true => QTensor::quantize(dense, GgmlDType::Q8_0),
        false => QTensor::quantize_onto(dense, GgmlDType::Q8_0, device),
    }
}

struct Product(Frozen);

impl CustomOp1 for Product {
    fn name(&self) -> &'static str {
        "product-with-a-constant"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dense = self.0.dense()?;
        let (storage, its_layout) = dense.storage_and_layout();
        let Storage::Cpu(w) = &*storage else {
            bail!("a product of numbers here with a matrix on a device")
        };
        product((x, layout), (w, its_layout))
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let dense = self.0.dense()?;
        let (storage, its_layout) = dense.storage_and_layout();
        let Storage::Cuda(w) = &*storage else {
            bail!("a product of numbers on a device with a matrix that is not there")
        };
        product((x, layout), (w, its_layout))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        grad.matmul(&self.0.dense()?).map(Some)
    }
}

/// x W^T, wherever both are.
fn product<S: BackendStorage>(
    (x, layout): (&S, &Layout),
    (w, its_layout): (&S, &Layout),
) -> Result<(S, Shape)> {
    let (n, k) = layout.shape().dims2()?;
    let (rows, columns) = its_layout.shape().dims2()?;
    if k != columns {
        bail!("a row of {k} numbers for a matrix of {columns} columns");
    }
    let out = x.matmul(w, (1, n, rows, k), layout, &its_layout.transpose(0, 1)?)?;
    Ok((out, (n, rows).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    fn ground(dtype: DType) -> Ground {
        Ground {
            device: Device::Cpu,
            dtype,
        }
    }

    fn matrix(rows: usize, columns: usize) -> Tensor {
        let numbers = (0..rows * columns).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * 0.3);
        Tensor::from_vec(numbers.collect::<Vec<f32>>(), (rows, columns), &Device::Cpu).unwrap()
    }

    /// The largest difference of two tensors.
    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        let difference = (a - b).unwrap().abs().unwrap();
        difference.max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn every_kind_is_near_and_has_the_gradient_of_the_product() {
        for (keep, most) in [
            (Keep::F32, 1e-6),
            (Keep::Bf16, 2e-2),
            (Keep::Q8_0, 2e-2),
            (Keep::Nf4, 0.4),
        ] {
            let w = matrix(48, 64);
            let frozen = Frozen::new(w.clone(), keep, &ground(DType::F32)).unwrap();
            let x = Var::from_tensor(&matrix(5, 64)).unwrap();
            let y = frozen.forward(x.as_tensor()).unwrap();
            let want = x.as_tensor().matmul(&w.t().unwrap()).unwrap();
            assert!(apart(&y, &want) < most, "{keep}: {}", apart(&y, &want));
            let g = matrix(5, 48);
            let loss = y.mul(&g).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            let got = gradients.get(x.as_tensor()).expect("a gradient");
            let want = g.matmul(&frozen.dense().unwrap()).unwrap();
            assert!(apart(got, &want) < 1e-5, "{keep}");
        }
    }

    #[test]
    fn products_in_half_precision_take_and_give_f32() {
        let w = matrix(48, 64);
        let frozen = Frozen::new(w.clone(), Keep::Bf16, &ground(DType::BF16)).unwrap();
        let x = Var::from_tensor(&matrix(5, 64)).unwrap();
        let y = frozen.forward(x.as_tensor()).unwrap();
        let want = x.as_tensor().matmul(&w.t().unwrap()).unwrap();
        assert_eq!(y.dtype(), DType::F32);
        assert!(apart(&y, &want) < 3e-2, "{}", apart(&y, &want));
        let gradients = y.sum_all().unwrap().backward().unwrap();
        let got = gradients.get(x.as_tensor()).expect("a gradient");
        assert_eq!(got.dtype(), DType::F32);
        let want = w.sum_keepdim(0).unwrap().broadcast_as((5, 64)).unwrap();
        assert!(apart(got, &want) < 0.1, "{}", apart(got, &want));
    }

    #[test]
    fn names_are_read_and_written() {
        for (keep, name) in NAMES {
            assert_eq!(keep.to_string().parse::<Keep>().unwrap(), keep, "{name}");
        }
        let say = "int4".parse::<Keep>().unwrap_err().to_string();
        assert!(say.contains("int4") && say.contains("nf4"), "{say}");
    }
}
