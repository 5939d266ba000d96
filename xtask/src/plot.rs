//! Draws the figures of `cargo xtask bench`.

use plotters::{coord::Shift, prelude::*};

use crate::measurements::{C, CP, Cell, MAP, MAPCP, Measured, format_size};

/// The programs that are drawn, in colours that colour-blind people can tell apart.
const LINES: [(&str, RGBColor); 6] = [
    (MAPCP, RGBColor(213, 94, 0)),
    (MAP, RGBColor(230, 159, 0)),
    (CP, RGBColor(0, 114, 178)),
    (C, RGBColor(0, 158, 115)),
    ("rsync", RGBColor(204, 121, 167)),
    ("xcp", RGBColor(110, 110, 110)),
];

pub fn throughput(cells: &[&Cell]) -> Result<String, String> {
    // Below 4 KiB, starting the process takes most of the time.
    let cells: Vec<&Cell> = cells.iter().copied().filter(|cell| cell.size >= 4 << 10).collect();
    draw(&cells, "Throughput of a copy, process start to end", "MB/s", 10.0, |size, measured| {
        size as f64 / measured.median() / 1e6
    })
}

pub fn small(cells: &[&Cell]) -> Result<String, String> {
    let cells: Vec<&Cell> = cells.iter().copied().filter(|cell| cell.size <= 256 << 10).collect();
    draw(&cells, "Time of a copy, process start to end", "ms", 2.0, |_, measured| {
        measured.median() * 1e3
    })
}

pub fn memory(cells: &[&Cell]) -> Result<String, String> {
    draw(cells, "Resident memory of a copy, at most", "MiB", 4.0, |_, measured| {
        measured.memory as f64 / 1048576.0
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a line for each program over the size of the file. The vertical axis has marks at powers
/// of `base`.
fn draw(
    cells: &[&Cell],
    title: &str,
    unit: &str,
    base: f64,
    figure: impl Fn(u64, &Measured) -> f64,
) -> Result<String, String> {
    let lines = LINES.map(|(way, color)| {
        let points = cells.iter().filter_map(|cell| {
            let measured = cell.get(way)?;
            Some(((cell.size as f64).log2(), figure(cell.size, measured)))
        });
        (way, color, points.collect::<Vec<_>>())
    });
    let lines: Vec<_> = lines.into_iter().filter(|(.., points)| !points.is_empty()).collect();
    let all = || lines.iter().flat_map(|(.., points)| points);
    let least = all().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let most = all().map(|point| point.1).fold(0.0, f64::max);
    let first = all().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let last = all().map(|point| point.0).fold(1.0, f64::max);

    let mut svg = String::new();
    let drawn = (|| {
        let area = SVGBackend::with_string(&mut svg, (900, 460)).into_drawing_area();
        area.fill(&WHITE)?;
        // The legend stands beside the chart.
        let (picture, legend) = area.split_horizontally(690);
        let mut chart = ChartBuilder::on(&picture)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(
                first..last + 0.3,
                (least / 1.3..most * 1.3).log_scale().base(base),
            )?;
        chart
            .configure_mesh()
            .x_desc("size of the file")
            .y_desc(unit)
            .x_labels(9)
            .x_label_formatter(&|log| format_size(log.exp2().round() as u64))
            .y_label_formatter(&|value| format!("{}", (value * 1e4).round() / 1e4))
            .y_labels(12)
            .label_style(("sans-serif", 14))
            .light_line_style(RGBColor(235, 235, 235))
            .bold_line_style(RGBColor(210, 210, 210))
            .draw()?;
        for (number, (way, color, points)) in lines.iter().enumerate() {
            let width = if *way == MAPCP { 3 } else { 2 };
            let style = color.stroke_width(width);
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
            let dot = |&point| Circle::new(point, width + 1, color.filled());
            chart.draw_series(points.iter().map(dot))?;
            entry(&legend, number as i32, way, style)?;
        }
        area.present()
    })();
    drawn.map_err(|error: DrawingAreaErrorKind<_>| format!("{title}: {error}"))?;
    Ok(svg + "\n")
}

fn entry(
    legend: &Area<'_>,
    number: i32,
    way: &str,
    style: ShapeStyle,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>> {
    let y = 60 + 24 * number;
    legend.draw(&PathElement::new([(4, y), (28, y)], style))?;
    legend.draw(&Text::new(way.to_owned(), (34, y - 7), ("sans-serif", 14)))
}
