//! The forward pass in tensor operations that all have gradients: the reference, and the path on a GPU.
//!
//! Guarantees a gradient for every parameter. Its attention holds a (rows, rows) matrix per head: for
//! the CPU, `fused` gives the same numbers in less time and memory. Deliberately absent: the library's own
//! `rms_norm`, `softmax_last_dim` and `rope`, which lose gradients without an error.

use candle_core::{D, Result, Tensor};

use super::config::{Architecture, EMBEDDING, FINAL_NORM, HEAD, QwenConfig};
use super::network::Network;
use super::rotary::frequencies;
use super::tree::Packed;

/// The log-probability of `targets[i]` after row `rows[i]`, with graph.
pub(crate) fn logprobs(
    network: &Network,
    packed: &Packed,
    rows: &[u32],
    targets: &[u32],
    temperature: f64,
) -> Result<Tensor> {
    let logits = (logits(network, packed, rows)? / temperature)?;
    let targets = Tensor::from_slice(targets, (targets.len(), 1), network.device())?;
    candle_nn::ops::log_softmax(&logits, D::Minus1)?.gather(&targets, 1)?.squeeze(1)
}

/// The logits after each row, with graph.
pub(crate) fn logits(network: &Network, packed: &Packed, rows: &[u32]) -> Result<Tensor> {
    let rows = Tensor::from_slice(rows, rows.len(), network.device())?;
    let hidden = Pass::new(network, packed)?.hidden(packed)?.index_select(&rows, 0)?;
    let head = network.parameter(if network.config().tied { EMBEDDING } else { HEAD })?;
    hidden.matmul(&head.t()?)
}

struct Pass<'a> {
    network: &'a Network,
    config: &'a QwenConfig,
    /// (T, head_dim / 2)
    cos: Tensor,
    sin: Tensor,
    /// (T, T): 0 where a row attends, −∞ elsewhere.
    mask: Tensor,
}

impl<'a> Pass<'a> {
    fn new(network: &'a Network, packed: &Packed) -> Result<Self> {
        let (config, device) = (network.config(), network.device());
        let (frequencies, magnitude) = frequencies(config);
        let turns = |&position: &u32| frequencies.iter().map(move |frequency| position as f32 * frequency);
        let angles: Vec<f32> = packed.positions().iter().flat_map(turns).collect();
        let angles = Tensor::from_vec(angles, (packed.tokens().len(), frequencies.len()), device)?;
        let [cos, sin] = [angles.cos()?, angles.sin()?].map(|table| table * f64::from(magnitude));
        let mask = mask(packed, device)?;
        Ok(Self { network, config, cos: cos?, sin: sin?, mask })
    }

    fn hidden(&self, packed: &Packed) -> Result<Tensor> {
        let tokens = packed.tokens();
        let tokens = Tensor::from_slice(tokens, tokens.len(), self.network.device())?;
        let mut x = self.network.parameter(EMBEDDING)?.index_select(&tokens, 0)?;
        for layer in 0..self.config.layers {
            x = self.layer(&format!("model.layers.{layer}"), &x)?;
        }
        self.norm(&x, FINAL_NORM)
    }

    fn layer(&self, prefix: &str, x: &Tensor) -> Result<Tensor> {
        let normed = self.norm(x, &format!("{prefix}.input_layernorm.weight"))?;
        let x = (x + self.attention(&format!("{prefix}.self_attn"), &normed)?)?;
        let normed = self.norm(&x, &format!("{prefix}.post_attention_layernorm.weight"))?;
        let gate = self.linear(&normed, &format!("{prefix}.mlp.gate_proj"))?.silu()?;
        let up = self.linear(&normed, &format!("{prefix}.mlp.up_proj"))?;
        x + self.linear(&(gate * up)?, &format!("{prefix}.mlp.down_proj"))?
    }

    fn attention(&self, prefix: &str, x: &Tensor) -> Result<Tensor> {
        let config = self.config;
        let (rows, group) = (x.dim(0)?, config.group());
        let head = |name: &str, heads: usize| -> Result<Tensor> {
            self.linear(x, &format!("{prefix}.{name}_proj"))?.reshape((rows, heads, config.head_dim))
        };
        let q = self.rope(&self.head_norm(&head("q", config.heads)?, &format!("{prefix}.q_norm.weight"))?)?;
        let k =
            self.rope(&self.head_norm(&head("k", config.kv_heads)?, &format!("{prefix}.k_norm.weight"))?)?;
        let v = head("v", config.kv_heads)?;
        // (heads, T, d); each key head serves `group` query heads.
        let q = q.transpose(0, 1)?.contiguous()?;
        let [k, v] = [k, v].map(|x| repeat(&x, group));
        let scores = (q.matmul(&k?.t()?)? * (config.head_dim as f64).sqrt().recip())?;
        let weights = candle_nn::ops::softmax(&scores.broadcast_add(&self.mask)?, D::Minus1)?;
        let mixed = weights.matmul(&v?)?.transpose(0, 1)?.contiguous()?;
        self.linear(&mixed.reshape((rows, config.query_width()))?, &format!("{prefix}.o_proj"))
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let y = x.matmul(&self.network.parameter(&format!("{name}.weight"))?.t()?)?;
        let is_biased = ["q_proj", "k_proj", "v_proj"].iter().any(|biased| name.ends_with(biased));
        match self.config.architecture {
            Architecture::Qwen2 if is_biased => {
                y.broadcast_add(&self.network.parameter(&format!("{name}.bias"))?)
            }
            _ => Ok(y),
        }
    }

    fn head_norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        match self.config.architecture {
            Architecture::Qwen2 => Ok(x.clone()),
            Architecture::Qwen3 => self.norm(x, name),
        }
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let root = (x.sqr()?.mean_keepdim(D::Minus1)? + self.config.rms_norm_eps)?.sqrt()?;
        x.broadcast_div(&root)?.broadcast_mul(&self.network.parameter(name)?)
    }

    /// x: (T, heads, d)
    fn rope(&self, x: &Tensor) -> Result<Tensor> {
        let half = self.config.head_dim / 2;
        let (cos, sin) = (self.cos.unsqueeze(1)?, self.sin.unsqueeze(1)?);
        let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        Tensor::cat(&[first, second], 2)
    }
}

/// (T, kv heads, d) → (heads, T, d)
fn repeat(x: &Tensor, group: usize) -> Result<Tensor> {
    let (rows, heads, width) = x.dims3()?;
    let x = x.transpose(0, 1)?.unsqueeze(1)?.expand((heads, group, rows, width))?;
    x.contiguous()?.reshape((heads * group, rows, width))
}

fn mask(packed: &Packed, device: &candle_core::Device) -> Result<Tensor> {
    let rows = packed.tokens().len();
    let mut mask = vec![f32::NEG_INFINITY; rows * rows];
    for segment in packed.segments() {
        for row in segment.rows.clone() {
            let line = &mut mask[row * rows..][..rows];
            for span in segment.ancestors.iter().cloned().chain(std::iter::once(segment.rows.start..row + 1))
            {
                line[span].fill(0.0);
            }
        }
    }
    Tensor::from_vec(mask, (rows, rows), device)
}
