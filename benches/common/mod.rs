//! How ways to do the same are compared: in turns, all of them in every round, so that what
//! else the machine does meets them all.

/// Measures so many ways by turns, and gives what each round gave, for each way.
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

/// How many times the first way's figure was of each way's, in the same round: medians.
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
