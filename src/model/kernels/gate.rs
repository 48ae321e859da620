//! The gated layer's middle: y = silu(g) u, with the gates and the values of a row side by side.

use super::lanes::exp;

/// `gate_up` holds a row's gates, then its values.
pub(crate) fn forward(gate_up: &[f32], out: &mut [f32]) {
    let (gate, up) = gate_up.split_at(out.len());
    for ((out, &gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// Writes the gradients of the gates and the values, given that of y.
pub(crate) fn backward(gate_up: &[f32], dy: &[f32], d_gate_up: &mut [f32]) {
    let (gate, up) = gate_up.split_at(dy.len());
    let (d_gate, d_up) = d_gate_up.split_at_mut(dy.len());
    for (((d_gate, d_up), (&gate, up)), dy) in d_gate.iter_mut().zip(d_up).zip(gate.iter().zip(up)).zip(dy) {
        let sigmoid = 1.0 / (1.0 + exp(-gate));
        let silu = gate * sigmoid;
        *d_up = dy * silu;
        *d_gate = dy * up * (sigmoid + silu * (1.0 - sigmoid));
    }
}
