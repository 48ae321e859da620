//! Curves as SVG pictures: axes, ticks and a few lines.
//!
//! Guarantees that a picture needs nothing outside itself and reads on a light and on a dark page, and that lines differ by
//! more than their colours. Values that are not finite are left out. Knows nothing of runs.

mod axis;

use std::fmt::Write as _;

use crate::viewer::escape;
use axis::{Axis, Snap};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 36.0;
/// Height of a line of the legend.
const LEGEND: f64 = 17.0;

/// A line takes at most this many points; more are averaged.
const MAX_POINTS: usize = 240;
/// From this many points on, a moving average is drawn over the raw line.
const SMOOTH_FROM: usize = 30;
/// Up to this many points, each has a mark.
const MARKED: usize = 16;

/// Colours of text, grid and lines, for a light and a dark page.
pub const STYLE: &str = "\
.chart{font:11px system-ui,sans-serif}.chart text{fill:#57606a}.chart .title{fill:#1f2328;font-weight:600;font-size:12.5px}\
.chart .grid{stroke:#d8dee4;stroke-width:1}.chart .axis,.chart .whisker{stroke:#8c959f;stroke-width:1}\
.raw{fill:none;stroke-width:1;opacity:.35}.line{fill:none;stroke-width:2;stroke-linejoin:round}\
.s0{stroke:#0b66c3;--c:#0b66c3}.s1{stroke:#c4500c;--c:#c4500c}.s2{stroke:#137a4b;--c:#137a4b}.s3{stroke:#7b3fc4;--c:#7b3fc4}.s4{stroke:#a8324e;--c:#a8324e}.s5{stroke:#6b6f10;--c:#6b6f10}\
.line.s1{stroke-dasharray:7 3}.line.s2{stroke-dasharray:2 3}.line.s3{stroke-dasharray:9 3 2 3}.line.s4{stroke-dasharray:12 4}.line.s5{stroke-dasharray:4 2}\
circle{fill:var(--c)}\
@media(prefers-color-scheme:dark){.chart text{fill:#9da7b3}.chart .title{fill:#e6edf3}.chart .grid{stroke:#30363d}\
.chart .axis,.chart .whisker{stroke:#6e7681}.s0{stroke:#6cb0ff;--c:#6cb0ff}.s1{stroke:#f0975a;--c:#f0975a}.s2{stroke:#56cf94;--c:#56cf94}.s3{stroke:#c29bff;--c:#c29bff}.s4{stroke:#f58aa3;--c:#f58aa3}.s5{stroke:#d3d76a;--c:#d3d76a}}";

/// How many different line colours there are.
pub const COLOURS: usize = 6;

/// A picture of lines over a common axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What the vertical axis shows.
    pub title: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// How the horizontal axis runs.
    pub scale: Scale,
    /// The lines.
    pub series: Vec<Series>,
}

/// How an axis of whole numbers runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// From doubling to doubling; all numbers are above 0.
    Doubling,
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
    /// Intervals of some points: where, from, to.
    pub ends: Vec<(f64, f64, f64)>,
}

impl Chart {
    /// The picture, to be put into a page that has [`STYLE`] and says which line is which.
    pub fn svg(&self) -> String {
        self.picture(0.0)
    }

    /// The picture as a file of its own, which says which line is which.
    pub fn file(&self) -> String {
        let n_lines = if self.series.len() < 2 { 0 } else { self.series.len() };
        let legend = LEGEND * n_lines as f64;
        let svg = self.picture(legend);
        let (head, body) = svg.split_once('>').expect("invariant: a picture opens with its tag");
        format!("{head} width=\"{WIDTH}\" height=\"{}\"><style>{STYLE}</style>{body}\n", HEIGHT + legend)
    }

    /// The picture with room for a legend below.
    fn picture(&self, legend: f64) -> String {
        let series: Vec<Series> = self.series.iter().map(|line| line.drawable(self.scale)).collect();
        // Points that were averaged lie within the line's ends.
        let points =
            self.series.iter().flat_map(|line| &line.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        let xs = points.map(|(x, _)| self.scale.along(*x));
        let values = series.iter().flat_map(|line| line.points.iter().map(|point| point.1));
        let ends = series.iter().flat_map(|line| line.ends.iter().flat_map(|(_, low, high)| [*low, *high]));
        let (x, y) = (Axis::over(xs, Snap::Ends), Axis::over(values.chain(ends), Snap::Ticks));
        let mut svg = format!(
            "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"{title} by {label}\"><text class=\"title\" x=\"8\" y=\"17\">{title}</text>",
            height = HEIGHT + legend,
            title = escape(&self.title),
            label = escape(&self.x_label),
        );
        self.draw_axes(&mut svg, &x, &y);
        for line in &series {
            line.draw(&mut svg, &x, &y);
        }
        if 0.0 < legend {
            draw_legend(&mut svg, &series);
        }
        svg.push_str("</svg>");
        svg
    }

    fn draw_axes(&self, svg: &mut String, x: &Axis, y: &Axis) {
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
        // Updates and tries are counted in whole numbers.
        for tick in x.ticks().into_iter().filter(|tick| 1e-9 > (tick - tick.round()).abs()) {
            let at = x.place(tick, LEFT, right);
            add(
                svg,
                format_args!(
                    "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{end}\"/>\
                     <text x=\"{at:.1}\" y=\"{label_y}\" text-anchor=\"middle\">{number}</text>",
                    end = bottom + 4.0,
                    label_y = bottom + 16.0,
                    number = self.scale.number(tick),
                ),
            );
        }
        add(
            svg,
            format_args!(
                "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
                 <text x=\"{middle}\" y=\"{label_y}\" text-anchor=\"middle\">{label}</text>",
                middle = f64::midpoint(LEFT, right),
                label_y = HEIGHT - 5.0,
                label = escape(&self.x_label),
            ),
        );
    }
}

impl Scale {
    /// Where a number lies along the axis.
    fn along(self, number: f64) -> f64 {
        match self {
            Self::Linear => number,
            Self::Doubling => number.log2(),
        }
    }

    /// The number at a place along the axis.
    fn number(self, along: f64) -> f64 {
        match self {
            Self::Linear => along,
            Self::Doubling => along.exp2(),
        }
    }
}

impl Series {
    /// The same line along the axis, with finite values and few enough points to draw.
    fn drawable(&self, scale: Scale) -> Self {
        let along = self.points.iter().map(|&(x, y)| (scale.along(x), y));
        let finite: Vec<(f64, f64)> = along.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        let bucket = finite.len().div_ceil(MAX_POINTS).max(1);
        let points = finite.chunks(bucket).map(mean).collect();
        let ends = self.ends.iter().map(|&(x, low, high)| (scale.along(x), low, high)).collect();
        Self { points, ends, ..self.clone() }
    }

    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let colour = self.colour % COLOURS;
        let (across, up) =
            (|at: f64| x.place(at, LEFT, WIDTH - RIGHT), |value: f64| y.place(value, HEIGHT - BOTTOM, TOP));
        // Runs that lie at the same place have their intervals side by side.
        let aside = 3.0 * colour as f64;
        for &(at, low, high) in &self.ends {
            let (px, from, to) = (across(at) + aside, up(low), up(high));
            add(
                svg,
                format_args!("<path class=\"s{colour}\" opacity=\".6\" d=\"M{px:.1} {from:.1}V{to:.1}\"/>"),
            );
        }
        let mut path = |points: &[(f64, f64)], class: &str| {
            let place = |&(at, value): &(f64, f64)| format!("{:.1},{:.1}", across(at), up(value));
            let points: Vec<String> = points.iter().map(place).collect();
            add(svg, format_args!("<polyline class=\"{class} s{colour}\" points=\"{}\"/>", points.join(" ")));
        };
        if self.points.len() < SMOOTH_FROM {
            path(&self.points, "line");
        } else {
            path(&self.points, "raw");
            path(&smooth(&self.points), "line");
        }
        for &(at, value) in self.points.iter().filter(|_| self.points.len() <= MARKED) {
            let (px, py) = (across(at), up(value));
            add(svg, format_args!("<circle class=\"s{colour}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"2\"/>"));
        }
    }
}

/// Writes a line for each name, after a stroke as the line has it.
fn draw_legend(svg: &mut String, series: &[Series]) {
    for (line_idx, line) in series.iter().enumerate() {
        let y = HEIGHT + LEGEND * (line_idx as f64 + 0.5);
        add(
            svg,
            format_args!(
                "{}<text x=\"{}\" y=\"{}\">{}</text>",
                stroke(line.colour, LEFT, y),
                LEFT + 30.0,
                y + 4.0,
                escape(&line.name)
            ),
        );
    }
}

/// A short stroke of a line's kind from `x` on.
pub fn stroke(colour: usize, x: f64, y: f64) -> String {
    format!(
        "<line class=\"line s{}\" x1=\"{x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>",
        colour % COLOURS,
        x + 24.0
    )
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

fn add(svg: &mut String, piece: std::fmt::Arguments<'_>) {
    svg.write_fmt(piece).expect("invariant: a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: Vec<(f64, f64)>) -> Series {
        Series { name: "a".to_owned(), colour: 0, points, ends: Vec::new() }
    }

    #[test]
    fn values_that_are_not_finite_are_left_out() {
        let line = line(vec![(0.0, f64::NAN), (1.0, 2.0), (2.0, f64::INFINITY)]);
        assert_eq!(line.drawable(Scale::Linear).points, [(1.0, 2.0)]);
    }

    #[test]
    fn long_lines_are_averaged_to_the_width_of_the_picture() {
        let drawn = line((0..10_000).map(|at| (f64::from(at), 1.0)).collect()).drawable(Scale::Linear).points;
        assert!(drawn.len() <= MAX_POINTS && drawn.iter().all(|point| point.1 == 1.0));
    }

    #[test]
    fn an_axis_of_doublings_is_labelled_with_the_numbers_themselves() {
        let series = vec![line(vec![(1.0, 0.1), (2.0, 0.2), (4.0, 0.3), (8.0, 0.3)])];
        let chart = Chart { title: "p".into(), x_label: "k".into(), scale: Scale::Doubling, series };
        let svg = chart.svg();
        for label in [">1</text>", ">2</text>", ">4</text>", ">8</text>"] {
            assert!(svg.contains(label), "{svg}");
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_picture() {
        let line = Series { name: "<script>'\u{202e}".to_owned(), ..line(vec![(0.0, 1.0), (1.0, 2.0)]) };
        let series = vec![line.clone(), line];
        let chart =
            Chart { title: "a \"b\"".to_owned(), x_label: "x".to_owned(), scale: Scale::Linear, series };
        let svg = chart.file();
        assert!(
            !svg.contains("<script>") && !svg.contains('\u{202e}') && svg.contains("a &quot;b&quot;"),
            "{svg}"
        );
    }
}
