//! Rates: distances, speeds, work done together, percentages.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use super::ratio::{Ratio, gcd};
use super::{Problem, Work};

const TRAVELLERS: [&str; 4] = ["cyclist", "train", "boat", "runner"];

fn traveller(rng: &mut ChaCha8Rng) -> &'static str {
    TRAVELLERS.choose(rng).expect("invariant: somebody travels")
}

/// The distance of two parts of a way.
pub(super) fn distance(rng: &mut ChaCha8Rng) -> Problem {
    let who = traveller(rng);
    let [(v, t), (w, u)] = [(); 2].map(|()| (rng.random_range(6..=90), rng.random_range(2..=9)));
    Work::new()
        .step("First part", format!("{v} * {t} = {} km", v * t))
        .step("Second part", format!("{w} * {u} = {} km", w * u))
        .step("Add", format!("{} + {} = {} km", v * t, w * u, v * t + w * u))
        .problem(
            format!("A {who} travels {t} hours at {v} km/h and then {u} hours at {w} km/h. How many km is that in all?"),
            v * t + w * u,
        )
}

/// The mean speed over two parts of a way.
pub(super) fn mean_speed(rng: &mut ChaCha8Rng) -> Problem {
    let who = traveller(rng);
    let [(v, t), (w, u)] = [(); 2].map(|()| (rng.random_range(6..=60), rng.random_range(2..=6)));
    let (way, time) = (v * t + w * u, t + u);
    let speed = Ratio::new(way, time);
    Work::new()
        .step("Find the distance", format!("{v} * {t} + {w} * {u} = {way} km"))
        .step("Find the time", format!("{t} + {u} = {time} hours"))
        .step("Divide", format!("{way} / {time} = {speed} km/h"))
        .problem(
            format!(
                "A {who} travels {t} hours at {v} km/h and then {u} hours at {w} km/h. What is the mean speed in km/h?"
            ),
            speed,
        )
}

/// Two who work together.
pub(super) fn together(rng: &mut ChaCha8Rng) -> Problem {
    let (a, b) = (rng.random_range(2..=30), rng.random_range(2..=30));
    let (one, two) = (Ratio::new(1, a), Ratio::new(1, b));
    let rate = one + two;
    let time = Ratio::new(rate.bottom, rate.top);
    Work::new()
        .step("Parts in one hour", format!("the first pump fills {one} of the tank, the second {two}"))
        .step("Add", format!("{one} + {two} = {rate}"))
        .step("Invert", format!("the tank takes 1 / ({rate}) = {time} hours"))
        .problem(
            format!("One pump fills a tank in {a} hours, another in {b} hours. How many hours do they take together?"),
            time,
        )
}

/// A price that rises and falls by shares of itself.
pub(super) fn percent(rng: &mut ChaCha8Rng) -> Problem {
    let (rise, fall) = (5 * rng.random_range(1..=10), 5 * rng.random_range(1..=10));
    // A price whose changes are whole numbers.
    let unit = 100 / gcd(rise, 100) * (100 / gcd(fall, 100));
    let price = unit * rng.random_range(1..=12);
    let up = price * rise / 100;
    let raised = price + up;
    let down = raised * fall / 100;
    Work::new()
        .step("Find the rise", format!("{price} * {rise} / 100 = {up}"))
        .step("Raise the price", format!("{price} + {up} = {raised}"))
        .step("Find the fall", format!("{raised} * {fall} / 100 = {down}"))
        .step("Lower the price", format!("{raised} - {down} = {}", raised - down))
        .problem(
            format!(
                "A price of {price} rises by {rise} percent and then falls by {fall} percent. What is it now?"
            ),
            raised - down,
        )
}
