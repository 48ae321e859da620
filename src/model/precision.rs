//! How weights are kept: as f32, as bf16, or frozen in blocks of 8 or 4 bits. Computation is in f32 whatever they are kept as.
//!
//! Guarantees that what is kept in blocks reads as the library's dequantised values, bit for bit. Blocks are GGUF's, 32 or 256 values
//! with a scale of their own, along a matrix's inputs.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

/// How weights are kept. Blocks hold the matrices of layers only; embedding, head, norms and biases beside them are bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 4 bytes a weight.
    #[default]
    F32,
    /// 2 bytes a weight.
    Bf16,
    /// 8 bits a weight and a scale for each 32.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 4 bits a weight and a scale for each 32.
    #[serde(rename = "q4_0")]
    Q4_0,
    /// 4 bits a weight, scale and minimum for each 32, which are 6 bits each and share two more for each 256.
    #[serde(rename = "q4_k")]
    Q4K,
}

impl Precision {
    /// The kind of blocks, if it is one.
    pub fn is_blocks(self) -> bool {
        self.blocks().is_some()
    }

    fn blocks(self) -> Option<GgmlDType> {
        match self {
            Self::F32 | Self::Bf16 => None,
            Self::Q8_0 => Some(GgmlDType::Q8_0),
            Self::Q4_0 => Some(GgmlDType::Q4_0),
            Self::Q4K => Some(GgmlDType::Q4K),
        }
    }

    /// Bytes of a parameter that has so many values.
    pub(crate) fn bytes(self, name: &str, values: usize) -> u64 {
        let (size, count) = match self.blocks().filter(|_| is_matrix_of_layer(name)) {
            Some(blocks) => (blocks.type_size(), blocks.block_size()),
            None => (self.dense().size_in_bytes(), 1),
        };
        (values.div_ceil(count) * size) as u64
    }

    /// What is not kept in blocks.
    pub(crate) fn dense(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            _ => DType::BF16,
        }
    }
}

/// A parameter that no training changes.
#[derive(Debug, Clone)]
pub(crate) enum Frozen {
    /// f32 or bf16.
    Dense(Tensor),
    /// In blocks.
    Blocks(Arc<QTensor>),
}

impl Frozen {
    /// Keeps a parameter; blocks are made on the CPU.
    pub(crate) fn new(
        name: &str,
        tensor: &Tensor,
        precision: Precision,
        device: &Device,
    ) -> candle_core::Result<Self> {
        match precision.blocks().filter(|_| is_matrix_of_layer(name)) {
            Some(blocks) => Ok(Self::Blocks(Arc::new(QTensor::quantize(tensor, blocks)?))),
            None => Ok(Self::Dense(tensor.to_dtype(precision.dense())?.to_device(device)?)),
        }
    }

    /// Keeps a parameter that a file has in blocks: as they are, where blocks are wanted.
    pub(crate) fn of_blocks(
        name: &str,
        blocks: QTensor,
        precision: Precision,
        device: &Device,
    ) -> candle_core::Result<Self> {
        let is_dense = matches!(blocks.dtype(), GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16);
        if precision.is_blocks() && is_matrix_of_layer(name) && !is_dense {
            return Ok(Self::Blocks(Arc::new(blocks)));
        }
        Self::new(name, &blocks.dequantize(&Device::Cpu)?, precision, device)
    }

    /// The values in f32.
    pub(crate) fn tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(tensor) => tensor.to_dtype(DType::F32),
            Self::Blocks(blocks) => blocks.dequantize(device),
        }
    }

    /// The same on another device; blocks stay where they are until they are read.
    pub(crate) fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        match self {
            Self::Dense(tensor) => Ok(Self::Dense(tensor.to_device(device)?)),
            Self::Blocks(blocks) => Ok(Self::Blocks(Arc::clone(blocks))),
        }
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Dense(tensor) => tensor.elem_count() * tensor.dtype().size_in_bytes(),
            Self::Blocks(blocks) => blocks.storage_size_in_bytes(),
        }
    }
}

/// Whether a parameter is one of a layer's seven projections.
pub(crate) fn is_matrix_of_layer(name: &str) -> bool {
    name.starts_with("model.layers.") && name.ends_with("_proj.weight")
}
