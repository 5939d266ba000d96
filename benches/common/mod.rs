//! Compares methods in turns, all of them in every round, so that other load on the machine affects
//! all of them.

/// Measures a number of methods in turns. Returns the figures of all rounds for each method.
pub fn turns(rounds: usize, ways: usize, mut run: impl FnMut(usize) -> f64) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::new(); ways];
    for round in 0..rounds {
        for turn in 0..ways {
            let way = (round + turn) % ways;
            figures[way].push(run(way));
        }
    }
    figures
}

/// Returns the medians of the ratios between the first method's figure and each method's, in the
/// same round.
pub fn ratios(figures: &[Vec<f64>]) -> Vec<f64> {
    let first = &figures[0];
    let of = |of_way: &Vec<f64>| {
        median(first.iter().zip(of_way).map(|(first, figure)| first / figure).collect())
    };
    figures.iter().map(of).collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
