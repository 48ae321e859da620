//! Curves as SVG pictures: axes, ticks, a legend and a few lines.
//!
//! Guarantees that a picture needs nothing outside itself and reads on a light and on a dark page.
//! Values that are not finite are left out. Knows nothing of runs.

use std::fmt::Write as _;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 34.0;

/// A line takes at most this many points; more are averaged.
const MAX_POINTS: usize = 400;
/// From this many points on, a moving average is drawn over the raw line.
const SMOOTH_FROM: usize = 30;

/// Colours of text, grid and lines, for a light and a dark page.
pub const STYLE: &str = "\
.chart{font:11px system-ui,sans-serif}.chart text{fill:#57606a}.chart .title{fill:#1f2328;font-weight:600;font-size:13px}\
.chart .grid{stroke:#d8dee4;stroke-width:1}.chart .axis{stroke:#8c959f;stroke-width:1}\
.chart .raw{fill:none;stroke-width:1;opacity:.3}.chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
.s0{stroke:#0b66c3}.s1{stroke:#c4500c}.s2{stroke:#137a4b}.s3{stroke:#7b3fc4}.s4{stroke:#a8324e}.s5{stroke:#6b6f10}\
@media(prefers-color-scheme:dark){.chart text{fill:#9da7b3}.chart .title{fill:#e6edf3}.chart .grid{stroke:#30363d}\
.chart .axis{stroke:#6e7681}.s0{stroke:#6cb0ff}.s1{stroke:#f0975a}.s2{stroke:#56cf94}.s3{stroke:#c29bff}.s4{stroke:#f58aa3}.s5{stroke:#d3d76a}}";

/// How many different line colours there are.
pub const COLOURS: usize = 6;

/// A picture of lines over a common axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What the vertical axis shows.
    pub title: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour: an index that a page uses for the same run everywhere.
    pub colour: usize,
    /// Its points, by rising x.
    pub points: Vec<(f64, f64)>,
}

/// The range of an axis and where its ticks are.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Chart {
    /// The picture, to be put into a page that has [`STYLE`].
    pub fn svg(&self) -> String {
        let series: Vec<Series> = self.series.iter().map(Series::drawable).collect();
        let x =
            Axis::over(series.iter().flat_map(|line| line.points.iter().map(|point| point.0)), Snap::Ends);
        let y =
            Axis::over(series.iter().flat_map(|line| line.points.iter().map(|point| point.1)), Snap::Ticks);
        let mut svg = format!(
            "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title} by {label}\"><text class=\"title\" x=\"{LEFT}\" y=\"17\">{title}</text>",
            title = escape(&self.title),
            label = escape(&self.x_label),
        );
        draw_axes(&mut svg, &x, &y, &self.x_label);
        for line in &series {
            line.draw(&mut svg, &x, &y);
        }
        if 1 < series.len() {
            draw_legend(&mut svg, &series);
        }
        svg.push_str("</svg>");
        svg
    }

    /// The picture as a file of its own.
    pub fn file(&self) -> String {
        let svg = self.svg();
        let (head, body) = svg.split_once('>').expect("invariant: a picture opens with its tag");
        format!("{head} width=\"{WIDTH}\" height=\"{HEIGHT}\"><style>{STYLE}</style>{body}\n")
    }
}

impl Series {
    /// The same line with finite values and few enough points to draw.
    fn drawable(&self) -> Self {
        let finite: Vec<(f64, f64)> =
            self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        let bucket = finite.len().div_ceil(MAX_POINTS).max(1);
        let points = finite.chunks(bucket).map(mean).collect();
        Self { points, ..self.clone() }
    }

    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let colour = self.colour % COLOURS;
        let place = |&(at, value): &(f64, f64)| {
            (x.place(at, LEFT, WIDTH - RIGHT), y.place(value, HEIGHT - BOTTOM, TOP))
        };
        if let [point] = self.points.as_slice() {
            let (px, py) = place(point);
            add(svg, format_args!("<circle class=\"s{colour}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"2\"/>"));
            return;
        }
        let mut path = |points: &[(f64, f64)], class: &str| {
            let points: Vec<String> =
                points.iter().map(place).map(|(px, py)| format!("{px:.1},{py:.1}")).collect();
            add(svg, format_args!("<polyline class=\"{class} s{colour}\" points=\"{}\"/>", points.join(" ")));
        };
        if self.points.len() < SMOOTH_FROM {
            path(&self.points, "line");
        } else {
            path(&self.points, "raw");
            path(&smooth(&self.points), "line");
        }
    }
}

/// How far an axis reaches beyond its values.
#[derive(Clone, Copy)]
enum Snap {
    /// To the values themselves.
    Ends,
    /// To the next tick.
    Ticks,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, snap: Snap) -> Self {
        let (mut low, mut high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if high < low {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-12 * high.abs().max(1e-12) {
            let around = if low == 0.0 { 1.0 } else { 0.5 * low.abs() };
            (low, high) = (low - around, high + around);
        }
        // A distance to zero that is not shown makes small changes look large.
        if matches!(snap, Snap::Ticks) && 0.0 < low && low < 0.5 * high {
            low = 0.0;
        }
        let step = nice_step((high - low) / 5.0);
        match snap {
            Snap::Ends => Self { low, high, step },
            Snap::Ticks => Self {
                low: (low / step + 1e-9).floor() * step,
                high: (high / step - 1e-9).ceil() * step,
                step,
            },
        }
    }

    fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        from + (value - self.low) / (self.high - self.low) * (to - from)
    }

    fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil() as i64;
        let last = (self.high / self.step + 1e-9).floor() as i64;
        (first..=last).map(|tick| tick as f64 * self.step).collect()
    }

    fn label(&self, tick: f64) -> String {
        if tick == 0.0 {
            return "0".to_owned();
        }
        if self.step < 1e-4 || 1e6 <= tick.abs() {
            return format!("{tick:.1e}").replace(".0e", "e");
        }
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{tick:.digits$}")
    }
}

fn draw_axes(svg: &mut String, x: &Axis, y: &Axis, x_label: &str) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in y.ticks() {
        let at = y.place(tick, bottom, TOP);
        add(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{label_x}\" y=\"{label_y:.1}\" text-anchor=\"end\">{label}</text>",
                label_x = LEFT - 6.0,
                label_y = at + 4.0,
                label = y.label(tick),
            ),
        );
    }
    // Updates are counted in whole numbers.
    for tick in x.ticks().into_iter().filter(|tick| 1e-9 > (tick - tick.round()).abs()) {
        let at = x.place(tick, LEFT, right);
        add(
            svg,
            format_args!(
                "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{end}\"/>\
                 <text x=\"{at:.1}\" y=\"{label_y}\" text-anchor=\"middle\">{tick}</text>",
                end = bottom + 4.0,
                label_y = bottom + 16.0,
            ),
        );
    }
    add(
        svg,
        format_args!(
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text x=\"{middle}\" y=\"{label_y}\" text-anchor=\"middle\">{label}</text>",
            middle = f64::midpoint(LEFT, right),
            label_y = HEIGHT - 4.0,
            label = escape(x_label),
        ),
    );
}

/// Writes the names from the right edge inwards, each after a stroke of its colour.
fn draw_legend(svg: &mut String, series: &[Series]) {
    let mut end = WIDTH - RIGHT;
    for line in series.iter().rev() {
        // About six units a character at this size.
        let start = end - 6.0 * line.name.chars().count() as f64;
        let colour = line.colour % COLOURS;
        add(
            svg,
            format_args!(
                "<text x=\"{start:.1}\" y=\"17\">{name}</text>\
                 <line class=\"line s{colour}\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"13\" y2=\"13\"/>",
                name = escape(&line.name),
                from = start - 18.0,
                to = start - 5.0,
            ),
        );
        end = start - 28.0;
    }
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    (x / n, y / n)
}

/// The centred moving average over about a twentieth of the line.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = (points.len() / 40).max(1);
    (0..points.len())
        .map(|middle| {
            let (from, to) = (middle.saturating_sub(reach), (middle + reach).min(points.len() - 1));
            (points[middle].0, mean(&points[from..=to]).1)
        })
        .collect()
}

/// The least of 1, 2, 5 times a power of ten that is at least `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| rough <= factor * power * (1.0 + 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Text as it may stand in HTML and SVG, attributes included.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn add(svg: &mut String, piece: std::fmt::Arguments<'_>) {
    svg.write_fmt(piece).expect("invariant: a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[f64]) -> Vec<String> {
        let axis = Axis::over(values.iter().copied(), Snap::Ticks);
        axis.ticks().into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers_that_hold_the_values() {
        assert_eq!(axis(&[0.13, 0.93]), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(axis(&[-1.0, 1.0]), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
        assert_eq!(axis(&[0.0, 16.0]), ["0", "5", "10", "15", "20"]);
        assert_eq!(axis(&[1e-6, 2e-5]), ["0", "5e-6", "1e-5", "1.5e-5", "2e-5"]);
    }

    #[test]
    fn a_flat_or_empty_line_still_has_an_axis() {
        assert_eq!(axis(&[]).len(), 6);
        assert!(1 < axis(&[0.5, 0.5]).len());
        assert!(1 < axis(&[0.0]).len());
    }

    #[test]
    fn values_that_are_not_finite_are_left_out() {
        let points = vec![(0.0, f64::NAN), (1.0, 2.0), (2.0, f64::INFINITY)];
        let line = Series { name: "a".to_owned(), colour: 0, points };
        assert_eq!(line.drawable().points, [(1.0, 2.0)]);
    }

    #[test]
    fn long_lines_are_averaged_to_the_width_of_the_picture() {
        let points = (0..10_000).map(|at| (f64::from(at), 1.0)).collect();
        let line = Series { name: "a".to_owned(), colour: 0, points };
        let drawn = line.drawable().points;
        assert!(drawn.len() <= MAX_POINTS && drawn.iter().all(|point| point.1 == 1.0));
    }

    #[test]
    fn names_cannot_break_out_of_the_picture() {
        let line = Series { name: "<script>".to_owned(), colour: 0, points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let chart =
            Chart { title: "a \"b\"".to_owned(), x_label: "x".to_owned(), series: vec![line.clone(), line] };
        let svg = chart.file();
        assert!(!svg.contains("<script>") && svg.contains("a &quot;b&quot;"), "{svg}");
    }
}
