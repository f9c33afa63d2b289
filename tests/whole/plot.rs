//! Columns drawn in the terminal.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};

use crate::program::{Done, program};
use crate::terminal::Terminal;

const RUN: &str = "alice/warehouse/run-1";
const START_SECS: f64 = 1_700_000_000.0;

/// 20,000 rows in 100 s: a slow wave with one spike, and a list with a gap of NaN.
fn record(root: &Path) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    for i in 0..20_000 {
        let t = f64::from(i) / 200.0;
        let spike = if i == 12_345 { 50.0 } else { t.sin() };
        let gap = if (40.0..60.0).contains(&t) { f64::NAN } else { 2.0 };
        let row = fields! { "effort": spike, "position": [t, gap], "mode": "hold" };
        exp.tracks("arm").append(row, START_SECS + t).unwrap();
    }
    exp.close().unwrap();
}

fn plot(root: &Path, args: &[&str]) -> Done {
    program(["plot", RUN, "arm"]).args(args).arg("--root").arg(root).run()
}

#[test]
fn columns_and_elements_of_lists_are_drawn_with_axes_gaps_and_every_spike() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root);
    let done = plot(root, &["effort", "position[1]", "--width", "92", "--height", "12"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let text = done.text();
    let lines: Vec<&str> = text.lines().collect();
    // Two areas of six lines with a legend each, then the axis of time.
    assert_eq!(lines.len(), 2 * 7 + 3, "{text}");
    assert!(lines[0].trim().starts_with("effort: -0.99") && lines[0].ends_with(" to 50"), "{text}");
    assert!(lines[7].ends_with("position[1]: 2 to 2, 4000 NaN or infinite"), "{text}");
    let dots = |line: &str| -> Vec<usize> {
        let braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        line.chars().enumerate().filter(|(_, c)| braille(*c)).map(|(i, _)| i - 12).collect()
    };
    // The spike alone reaches the top, at 61.7 % of 80 characters.
    assert_eq!(dots(lines[1]), [49], "{text}");
    let drawn: Vec<usize> = lines[8..14].iter().flat_map(|line| dots(line)).collect();
    assert!(!drawn.iter().any(|at| (33..47).contains(at)), "{text}");
    assert!(drawn.contains(&30) && drawn.contains(&50), "{text}");
    assert!(text.contains("22:14:00") && text.contains("2023-11-14 22:13:20.000 to "), "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 92) && !text.contains('\x1b'));

    let part = plot(root, &["position", "--start", "1700000010", "--end", "1700000020"]);
    assert!(part.text().contains("position[0]: 10 to 20\n"), "{}", part.text());
    assert!(part.text().contains("position[1]: 2 to 2\n"), "{}", part.text());

    let exp = Experiment::open_read_only(RUN, root).unwrap();
    exp.pack(|| std::ops::ControlFlow::Continue(())).unwrap();
    let args = ["effort", "position[1]", "--width", "92", "--height", "12"];
    assert_eq!(plot(root, &args).text(), text, "packed rows are drawn as plain ones");
}

#[test]
fn what_can_not_be_drawn_is_told() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root);
    for (args, code, told) in [
        (&["efort"][..], 1, "track `arm` has no column `efort`; there are: "),
        (&["mode"], 1, "`mode` at 1700000000: the text \"hold\" is no number"),
        (&["position[2]"], 1, "the list has 2 elements, too few"),
        (&["effort[0]"], 1, "is no list to take elements of"),
        (&["position[x]"], 2, "`[x]` is not a slice of a list"),
        (&["effort", "--start", "5", "--end", "9"], 1, "has no rows in this range"),
        (&["effort", "--width", "3"], 2, "24..=2000"),
    ] {
        let done = plot(root, args);
        assert_eq!(done.code, code, "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(told), "{args:?}: {}", done.stderr);
    }
}

#[test]
fn a_terminal_gets_its_width_and_colours_unless_told_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    record(root);
    let on_terminal = |no_color: &str| -> String {
        let terminal = Terminal::of_width(64);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        let command_line = ["plot", RUN, "arm", "effort", "position", "--root"];
        command.args(command_line).arg(root).env("NO_COLOR", no_color);
        let mut child = command.stdout(terminal.open()).spawn().unwrap();
        drop(command);
        let mut text = Vec::new();
        // It ends with an error once no program has the terminal.
        let _ = terminal.into_other_side().read_to_end(&mut text);
        assert!(child.wait().unwrap().success());
        String::from_utf8(text).unwrap()
    };
    let coloured = on_terminal("");
    assert!(["\x1b[36m", "\x1b[33m", "\x1b[35m"].iter().all(|code| coloured.contains(code)));
    // One area for all: 16 lines, an axis of three, and a legend of three.
    assert_eq!(coloured.lines().count(), 22, "{coloured}");
    let plain = on_terminal("1");
    assert!(!plain.contains('\x1b'));
    assert!(plain.lines().any(|line| line.trim_end().chars().count() == 64), "{plain}");
    assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 64), "{plain}");
}
