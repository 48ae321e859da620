//! Values of the methods from rewards that no training can work with, by their keys.

use super::{Method, Recipe, RewardSource};
use crate::group::Scale;
use crate::train::batch::Average;
use crate::train::loss::{Clip, Correction, Kl, Policy};

/// The first fault, with what must be.
pub(super) fn of_method(recipe: &Recipe) -> Option<(&'static str, String)> {
    let (rlvr, loss) = (&recipe.rlvr, &recipe.loss);
    let (effect, weight) = shares(recipe.reward);
    let faults = [
        (
            rlvr.groups.group_size < 2,
            "rlvr.group_size",
            "must be at least 2: a single episode is its own mean",
        ),
        (
            rlvr.groups.temperature <= 0.0,
            "rlvr.temperature",
            "must be more than 0: equal episodes teach nothing",
        ),
        (rlvr.steps == 0, "rlvr.steps", "must be at least 1"),
        (!is_scale(recipe.srl.scale), "srl.scale", SCALE),
        (!is_scale(rlvr.groups.scale), "rlvr.scale", SCALE),
        (recipe.select.samples == 1, "select.samples", "must be at least 2, or 0 to take all steps"),
        (recipe.select.min_spread < 0.0, "select.min_spread", "must be at least 0"),
        (recipe.batch.passes == 0, "batch.passes", "must be at least 1"),
        (recipe.batch.average == Average::Fixed(0), "batch.average", "`fixed` must be at least 1"),
        (!is_clip(loss.policy), "loss.policy", "`low` must be from 0 to below 1 and `high` at least 0"),
        (!is_capped(loss.policy), "loss.policy", "`cap` must be at least 1, and more than 1 + `high`"),
        (loss.kl != Kl::None && loss.kl.coefficient() <= 0.0, "loss.kl", "must be more than 0, or `none`"),
        (loss.entropy < 0.0, "loss.entropy", "must be at least 0"),
        (!is_correction(loss.correction), "loss.correction", "`truncate` must be at least 1"),
        (!is_share(effect), "reward", "`tests` must be a share from 0 to 1"),
        (!is_share(weight), "reward", "`weight` must be a share from 0 to 1"),
        (
            recipe.method != Method::Srl && 0 < recipe.validation.every && runs_actions(recipe.reward),
            "reward",
            "only SRL runs the replies that it validates: say `text`",
        ),
    ];
    faults.into_iter().find(|(wrong, ..)| *wrong).map(|(_, key, problem)| (key, problem.to_owned()))
}

/// The share of the tests, and that of effects in a mix.
fn shares(reward: RewardSource) -> (f64, f64) {
    match reward {
        RewardSource::Text(_) => (0.0, 0.0),
        RewardSource::Effect(effect) => (effect.tests, 1.0),
        RewardSource::Mix(mix) => (mix.effect.tests, mix.weight),
    }
}

fn is_share(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

fn runs_actions(reward: RewardSource) -> bool {
    !matches!(reward, RewardSource::Text(_))
}

const SCALE: &str = "`ddof` must be 0 or 1, and `epsilon` at least 0";

fn is_scale(scale: Scale) -> bool {
    match scale {
        Scale::None => true,
        Scale::Std { ddof, epsilon } => ddof <= 1 && 0.0 <= epsilon,
    }
}

fn is_clip(policy: Policy) -> bool {
    let (low, high) = match policy {
        Policy::Clip(Clip { low, high })
        | Policy::Gspo(Clip { low, high })
        | Policy::DualClip { low, high, .. } => (low, high),
        Policy::Cispo { .. } => return true,
    };
    (0.0..1.0).contains(&low) && 0.0 <= high
}

fn is_capped(policy: Policy) -> bool {
    match policy {
        Policy::Clip(_) | Policy::Gspo(_) => true,
        Policy::DualClip { high, cap, .. } => 1.0 + high < cap,
        Policy::Cispo { cap } => 1.0 <= cap,
    }
}

fn is_correction(correction: Correction) -> bool {
    match correction {
        Correction::None => true,
        Correction::Truncate(cap) => 1.0 <= cap,
    }
}
