//! A look at real data, where it is at hand; no bound on the result, and nothing was tuned to it.

use super::*;

/// Scores every CSV (`timestamp,value`) below `BAROGRAPH_SERIES` and writes the scores beside each other below
/// `BAROGRAPH_SCORES`, for a scorer of one's own.
#[test]
#[ignore = "needs BAROGRAPH_SERIES and BAROGRAPH_SCORES"]
fn scores_of_real_series() {
    let folder = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    let (Some(from), Some(to)) = (folder("BAROGRAPH_SERIES"), folder("BAROGRAPH_SCORES")) else {
        println!("skipped: BAROGRAPH_SERIES and BAROGRAPH_SCORES are not set");
        return;
    };
    let detector = std::env::var("BAROGRAPH_DETECTOR").unwrap_or_else(|_| "auto".to_owned());
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let samples: Vec<Sample> = text
            .lines()
            .filter_map(|line| line.split_once(','))
            .filter_map(|(at, value)| Some(Sample { at: at.parse().ok()?, value: value.parse().ok()? }))
            .collect();
        let found = detect(&samples, &detector, &Settings::default(), &AlarmSettings::default()).unwrap();
        let rows = samples.iter().zip(&found.scores).zip(&found.in_anomaly).map(|((sample, score), is_in)| {
            let score = score.map_or(String::new(), |score| score.value.to_string());
            format!("{},{},{score},{}\n", sample.at, sample.value, u8::from(*is_in))
        });
        std::fs::write(to.join(path.file_name().unwrap()), rows.collect::<String>()).unwrap();
        println!("{}: {} samples, {} anomalies", path.display(), samples.len(), found.anomalies.len());
        for anomaly in &found.anomalies {
            println!("  {} {} {:.2} {}", anomaly.start, anomaly.kind.as_str(), anomaly.score, anomaly.explanation);
        }
    }
}
