//! The curves of a report, those of the first sight before the rest.

use super::{add, counted};
use crate::report::Report;
use crate::report::curves::Rank;
use crate::report::svg::stroke;
use crate::viewer::escape;

pub(super) fn curves(report: &Report) -> String {
    let curves = report.curves();
    if curves.is_empty() {
        return String::new();
    }
    let mut html = String::new();
    if 1 < report.runs.len() {
        key(&mut html, report);
    }
    html.push_str("<p class=\"soft\">From 30 updates on, thin lines are updates and thick lines their moving average.</p>\n");
    let mut phases: Vec<&str> = curves.iter().map(|curve| curve.phase.as_str()).collect();
    phases.dedup();
    // Runs may begin their phases in different orders.
    phases.sort_by_key(|phase| curves.iter().position(|curve| curve.phase == *phase));
    phases.dedup();
    for phase in phases {
        let of_phase = || curves.iter().filter(|curve| curve.phase == phase);
        add(&mut html, format_args!("<h3>{}</h3>\n<div class=\"charts\">\n", escape(phase)));
        for curve in of_phase().filter(|curve| curve.rank == Rank::First) {
            add(&mut html, format_args!("{}\n", curve.chart.svg()));
        }
        html.push_str("</div>\n");
        skipped(&mut html, report, phase);
        let further = of_phase().filter(|curve| curve.rank == Rank::Further).count();
        if 0 < further {
            add(
                &mut html,
                format_args!(
                    "<details><summary>{}</summary><div class=\"charts\">\n",
                    counted(further, "further curve", "further curves")
                ),
            );
            for curve in of_phase().filter(|curve| curve.rank == Rank::Further) {
                add(&mut html, format_args!("{}\n", curve.chart.svg()));
            }
            html.push_str("</div></details>\n");
        }
        let constant = |curve: &crate::report::curves::Curve| match curve.rank {
            Rank::Constant(value) => Some(format!("{} {}", curve.metric.replace('_', " "), shown(value))),
            Rank::First | Rank::Further => None,
        };
        let constants: Vec<String> = of_phase().filter_map(constant).collect();
        if !constants.is_empty() {
            add(
                &mut html,
                format_args!(
                    "<p class=\"soft\">The same at every update: {}.</p>\n",
                    escape(&constants.join(", "))
                ),
            );
        }
    }
    html
}

/// Which line is which run.
fn key(html: &mut String, report: &Report) {
    html.push_str("<ul class=\"key\" aria-label=\"Lines\">");
    for (colour, run) in report.runs.iter().enumerate() {
        add(
            html,
            format_args!(
                "<li><svg width=\"24\" height=\"10\" aria-hidden=\"true\">{}</svg> {}</li>",
                stroke(colour, 0.0, 5.0),
                escape(&run.name)
            ),
        );
    }
    html.push_str("</ul>\n");
}

fn skipped(html: &mut String, report: &Report, phase: &str) {
    for run in &report.runs {
        let Some(skipped) =
            run.phases.iter().find(|known| known.name == phase).map(|phase| phase.skipped.len())
        else {
            continue;
        };
        if 0 < skipped {
            add(
                html,
                format_args!(
                    "<p class=\"soft\">{}: {} skipped, because every group was flat.</p>\n",
                    escape(&run.name),
                    counted(skipped, "update was", "updates were"),
                ),
            );
        }
    }
}

/// A number without needless digits.
fn shown(value: f64) -> String {
    if value == 0.0 || (1e-3..1e6).contains(&value.abs()) {
        let text = format!("{value:.4}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{value:.2e}")
}
