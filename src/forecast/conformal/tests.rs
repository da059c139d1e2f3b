use super::held_out::level_on;
use super::*;

fn one_lead(errors: &[f64]) -> Conformal {
    let rows = errors.iter().map(|&error| vec![error]).collect();
    Conformal::new(&Replay { origins: (10..10 + errors.len()).collect(), errors: rows, takes_values: true }, None)
}

/// The edges of the band at one lead.
fn edges(bands: &Conformal, share: f64, lead: usize) -> (f64, f64) {
    let (below, above) = bands.reaches(share)(0, lead);
    (-below, above)
}

fn noise(origin: u32, lead: u32) -> f64 {
    f64::from((origin * 31 + lead * 17).wrapping_mul(2_654_435_761) >> 16) / 65_536.0 - 0.5
}

fn noises(n_origins: u32, n_leads: u32, apart: usize) -> (Vec<usize>, Vec<Vec<f64>>) {
    let rows = (0..n_origins).map(|nr| (0..n_leads).map(|lead| noise(nr, lead)).collect()).collect();
    ((0..n_origins as usize).map(|nr| 50 + nr * apart).collect(), rows)
}

#[test]
fn the_half_width_is_the_finite_sample_quantile() {
    // Alternating signs, so that neither side is longer.
    let nine = one_lead(&[0.3, -0.5, 0.7, -0.9, 1.1, -1.4, 1.8, -2.2, 2.9]);
    let (low, high) = edges(&nine, 0.8, 0);
    assert!((high - low) / 2.0 > 1.6 && (high - low) / 2.0 < 2.6, "{low} {high}");
    // k = ceil(10 * 0.8) = 8 of the sizes, where all weight is on them.
    let sizes = Conformal { below: nine.sizes, above: nine.sizes, ..nine.clone() };
    assert!((edges(&sizes, 0.8, 0).1 - 2.2).abs() < 0.1, "{}", edges(&sizes, 0.8, 0).1);
    // No nine errors have a 95 % quantile: beyond the largest, by as much as Student's t says.
    assert!(edges(&sizes, 0.95, 0).1 > 2.9 && edges(&sizes, 0.95, 0).1 < 2.0 * 2.9);
    assert!(one_lead(&[]).check(1).unwrap_err().contains("too short"));
    assert!(nine.check(2).unwrap_err().contains("1 steps ahead, not 2"));
    assert!(
        one_lead(&[1.0])
            .check(1)
            .unwrap_err()
            .contains("takes 4 errors that were made out of sample, and the history has room for 1")
    );
}

#[test]
fn errors_that_agree_along_the_lead_are_worth_fewer() {
    let (origins, independent) = noises(30, 12, 12);
    let agreeing: Vec<Vec<f64>> = independent.iter().map(|row| vec![row[0]; 12]).collect();
    let [alone, together] = [&independent, &agreeing].map(|rows| Conformal::of(&origins, rows, None));
    assert!(alone.worth > 200.0 && (29.0..60.0).contains(&together.worth), "{} {}", alone.worth, together.worth);
    // One forecast of 12 steps has 12 errors, and tells of one moment: a band, and a wide one.
    let one = Conformal::of(&origins[..1], &agreeing[..1], None);
    assert!(
        one.check(12).is_ok() && edges(&one, 0.95, 11).1 > 2.0 * agreeing[0][0].abs(),
        "{:?}",
        edges(&one, 0.95, 11)
    );
}

#[test]
fn bands_of_few_forecasts_are_wider_however_many_errors_each_has() {
    let width = |n_origins: u32, n_leads: u32| {
        let (origins, rows) = noises(n_origins, n_leads, n_leads as usize);
        edges(&Conformal::of(&origins, &rows, None), 0.95, 0).1
    };
    // Three of 48 steps have more errors than sixty of 2, and tell less of how large the next one's will be.
    assert!(width(3, 48) > 1.15 * width(60, 2), "{} {}", width(3, 48), width(60, 2));
    let (origins, mut rows) = noises(1, 12, 1);
    rows[0][7] = f64::NAN;
    assert!(Conformal::of(&origins, &rows, None).check(12).unwrap_err().contains("has room for 11"));
}

#[test]
fn a_band_leans_to_where_errors_are_larger() {
    let errors: Vec<f64> = (0..400).map(|nr| if nr % 4 == 0 { 9.0 + noise(nr, 0) } else { noise(nr, 1) }).collect();
    let (low, high) = edges(&one_lead(&errors), 0.8, 0);
    assert!(high > 8.0 && low > -2.0, "{low} {high}");
}

#[test]
fn widths_grow_with_the_lead_and_nest_with_the_coverage() {
    for n_origins in [8, 60] {
        let (origins, mut errors) = noises(n_origins, 24, 24);
        for row in &mut errors {
            row.iter_mut().zip(1u32..).for_each(|(error, lead)| *error *= f64::from(lead).sqrt());
        }
        let bands = Conformal::new(&Replay { origins, errors, takes_values: true }, None);
        let mut before = (0.0, 0.0);
        for percent in 1..100 {
            let (low, high) = edges(&bands, f64::from(percent) / 100.0, 5);
            assert!(low <= before.0 && high >= before.1, "{percent}");
            before = (low, high);
        }
        let widths: Vec<f64> = (0..24).map(|lead| edges(&bands, 0.9, lead).1).collect();
        assert!(widths.windows(2).all(|pair| pair[0] <= pair[1]));
        let held = bands.coverage(Coverage::new(0.8).unwrap()).unwrap();
        assert!((held - 0.8).abs() < 0.1, "{held}");
    }
}

#[test]
fn what_is_held_out_is_counted_as_the_bands_would_hold_it() {
    let (origins, errors) = noises(50, 4, 4);
    let bands = Conformal::of(&origins, &errors, None);
    let ladder = bands.ladder();
    for (nr, lead) in [(0, 0), (7, 2), (31, 3)] {
        let error: f64 = errors[nr][lead];
        for percent in (4..100).step_by(5) {
            let share = f64::from(percent) / 100.0;
            let (low, high) = edges(&bands, share, lead);
            let level = level_on(&ladder, error / bands.growth.at(0, lead));
            // Between two rungs the ladder is straight and the band is not quite.
            if (level - share).abs() > 0.02 {
                assert_eq!(level < share, (low..=high).contains(&error), "{nr} {lead} {percent} {level}");
            }
        }
    }
}

#[test]
fn a_long_horizon_costs_little_to_keep() {
    let (origins, errors) = noises(60, 5_000, 400);
    let bands = Conformal::new(&Replay { origins, errors, takes_values: true }, Some(168));
    assert!(bands.n_bytes() + size_of::<Conformal>() < 1_500, "{}", bands.n_bytes() + size_of::<Conformal>());
    assert!(bands.check(5_000).is_ok());
}

#[test]
fn overlapping_forecasts_count_a_cell_once() {
    assert_eq!(n_cells(&[5, 6, 8], &[vec![0.0; 2], vec![f64::NAN, 0.0], vec![0.0; 2]]), 5);
}

#[test]
fn sizes_of_sorted_errors_are_sorted() {
    assert_eq!(sizes_of(&[-3.0, -1.0, 0.0, 2.0, 4.0]), [0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_band_of_few_errors_holds_its_share_of_what_comes() {
    // Sizes of which any is as likely as any other, three at a time, and one more each time.
    let size = |nr: u64| {
        let mixed = (nr + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    };
    for share in [0.2, 0.4, 0.6] {
        let n_held = (0..5_000u64).filter(|nr| {
            let mut known = [0, 1, 2].map(|of| size(4 * nr + of));
            known.sort_unstable_by(f64::total_cmp);
            // The k-th stands for (k - 1/2) / 3; straight lines between.
            let place = (share * 3.0 - 0.5f64).max(0.0);
            let quantile = known[place as usize] * (1.0 - place.fract()) + known[place as usize + 1] * place.fract();
            size(4 * nr + 3) <= quantile * centred(share, 3.0)
        });
        let held = n_held.count() as f64 / 5_000.0;
        assert!((held - share).abs() < 0.04, "{share}: {held}");
    }
    assert!(centred(0.99, 3.0).is_infinite() && (centred(0.8, 1e9) - 1.0).abs() < 1e-6);
}

/// Forecasts of two days from moments spread over four weeks, whose errors are `of(cell, origin, lead)`.
fn hours(of: impl Fn(usize, u32, u32) -> f64) -> (Vec<usize>, Vec<Vec<f64>>) {
    let origins: Vec<usize> = (0..60).map(|nr| 300 + nr * 11).collect();
    let row = |&origin: &usize| (0..48).map(|lead| of(origin + lead, origin as u32, lead as u32)).collect();
    let rows = origins.iter().map(row).collect();
    (origins, rows)
}

#[test]
fn a_job_among_idle_hours_has_bands_of_its_own_whatever_the_idle_noise() {
    let is_job = |cell: usize| cell % 24 < 3;
    for idle in [0.0, 1e-7, 0.01, 1.0] {
        let (origins, rows) = hours(|cell, origin, lead| noise(origin, lead) * if is_job(cell) { 12.0 } else { idle });
        let bands = Conformal::of(&origins, &rows, Some(24));
        for share in [0.5, 0.8, 0.9, 0.95] {
            let reaches = bands.reaches(share);
            for (size, kind) in [(12.0, true), (idle, false)] {
                let cells = || (0..48).filter(|lead| is_job(960 + lead) == kind);
                // Evenly spread, so that the share of the width is that of the errors.
                let widths = cells().map(|lead| reaches(960, lead)).map(|(below, above)| below + above);
                let expected = share * size * cells().count() as f64;
                let width: f64 = widths.sum();
                assert!((width - expected).abs() <= 0.1 * expected, "{idle} {share} {kind}: {width} {expected}");
            }
        }
        // And what is held out is judged by the same.
        let told = Conformal::new(&Replay { origins, errors: rows, takes_values: true }, Some(24));
        let held = told.coverage(Coverage::new(0.8).unwrap()).unwrap();
        assert!(held > 0.75 && (idle == 0.0 || held < 0.87), "{idle}: {held}");
    }
}

#[test]
fn hours_are_apart_only_where_nearly_all_errors_are() {
    // Half as large by night, one huge error, or too few days to tell.
    let (origins, rows) = hours(|cell, origin, lead| noise(origin, lead) * if cell % 24 < 3 { 2.0 } else { 1.0 });
    assert_eq!(Quiet::find(&origins, &rows, 24), None);
    let (origins, rows) = hours(|cell, origin, lead| if cell == 507 { 1e6 } else { noise(origin, lead) });
    assert_eq!(Quiet::find(&origins, &rows, 24), None);
    let (origins, rows) = hours(|cell, origin, lead| noise(origin, lead) * if cell % 24 < 3 { 12.0 } else { 0.1 });
    assert_eq!(Quiet::find(&origins[..2], &rows[..2], 24), None);
    let found = Quiet::find(&origins, &rows, 24).unwrap();
    assert!((0..24).all(|hour| found.holds(hour) == (hour >= 3)));
}

#[test]
fn a_lead_that_is_mostly_right_to_the_digit_has_its_own_share() {
    // A switch that is as it was after one step with 97 %, and after twenty with 60 %.
    let is_off = |nr: u32, lead: u32| noise(nr, lead) + 0.5 < 0.03 + 0.02 * f64::from(lead);
    let origins: Vec<usize> = (0..400).map(|nr| 50 + nr * 20).collect();
    let row = |nr| (0..20).map(|lead| if is_off(nr, lead) { noise(nr + 7, lead).signum() } else { 0.0 }).collect();
    let rows: Vec<Vec<f64>> = (0..400).map(row).collect();
    let bands = Conformal::of(&origins, &rows, None);
    for share in [0.5, 0.8, 0.9, 0.95] {
        for lead in 0..20u32 {
            let (below, above) = bands.reaches(share)(50, lead as usize);
            let held =
                (0..400).filter(|nr| (-below..=above).contains(&rows[*nr][lead as usize])).count() as f64 / 400.0;
            assert!(held >= share - 0.02, "{share} {lead}: {held}");
        }
        let [(low, high), (low_after, high_after)] = [0, 19].map(|lead| edges(&bands, share, lead));
        assert!((low, high) == (0.0, 0.0) && (share < 0.8 || high_after - low_after >= 1.0), "{share}");
    }
}

#[test]
fn errors_of_one_event_are_a_share_of_their_own() {
    let (origins, errors) = noises(60, 12, 12);
    let replay = Replay { origins, errors, takes_values: true };
    let event: Vec<f64> = (0..24).map(|nr| -90.0 - f64::from(nr)).collect();
    let usual = Conformal::new(&replay, None);
    let with = |share: f64| Conformal::beside(&event, share, &replay, None);
    let reach = |bands: &Conformal, share: f64| bands.reaches(share)(0, 3);
    // One cell in fifty: of what is usual a little more.
    assert_eq!(reach(&with(0.02), 0.95), reach(&usual, 0.95 / 0.98));
    let (below, above) = reach(&with(0.02), 0.99);
    assert!((90.0..114.0).contains(&below) && above < 1.0, "{below} {above}");
    assert!(reach(&with(0.02), 0.9999).0 >= 113.0);
    // Where more are astray than may be left out, a band holds some of them; and more of a larger coverage.
    let (below, _) = reach(&with(0.1), 0.95);
    assert!((98.0..106.0).contains(&below), "{below}");
    for bands in [with(0.02), with(0.1), with(0.6)] {
        let edges: Vec<_> = (1..1000).map(|nr| reach(&bands, f64::from(nr) / 1000.0)).collect();
        assert!(edges.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
    }
    // Held out they count as outside.
    let held = |bands: &Conformal, share: f64| bands.coverage(Coverage::new(share).unwrap()).unwrap();
    let expected = held(&usual, 0.9 / 0.98) * 720.0 / 744.0;
    assert!((held(&with(0.02), 0.9) - expected).abs() < 0.02, "{} {expected}", held(&with(0.02), 0.9));
    assert!(Conformal::beside(&event, 0.02, &Replay::default(), None).check(1).is_err());
}
