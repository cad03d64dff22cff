//! Real processes on the machine that runs the tests.

use std::sync::Mutex;

use super::*;

#[derive(Default)]
struct Heard(Mutex<Vec<(Stream, String)>>);

impl Heard {
    fn lines(&self, wanted: Stream) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|(stream, _)| *stream == wanted).map(|(_, line)| line.clone()).collect()
    }
}

async fn shell(text: &str, heard: &Heard, stop: &CancellationToken) -> Result<String, Error> {
    let command = Command::new(["/bin/sh", "-c", text]);
    run(&command, &|stream, line| heard.0.lock().unwrap().push((stream, line.to_owned())), stop).await
}

#[tokio::test]
async fn both_streams_arrive_line_by_line_to_their_end() {
    let heard = Heard::default();
    let text = "echo one; echo two >&2; printf 'half'; printf 'b\\377d\\n' >&2";
    let output = shell(text, &heard, &CancellationToken::new()).await.unwrap();
    assert_eq!(output, "one\nhalf");
    assert_eq!(heard.lines(Stream::Stdout), ["one", "half"]);
    assert_eq!(heard.lines(Stream::Stderr), ["two", "b\u{fffd}d"]);
}

#[tokio::test]
async fn a_status_other_than_0_is_an_error_with_the_last_lines() {
    let error =
        shell("echo broken >&2; exit 7", &Heard::default(), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "`/bin/sh -c echo broken >&2; exit 7` ended with status 7: broken");
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let command = Command::new(["/no/such/program"]);
    let error = run(&command, &|_, _| (), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "starting `/no/such/program`");
}

#[tokio::test]
async fn a_long_line_is_cut_with_a_mark() {
    let heard = Heard::default();
    shell("head -c 100000 /dev/zero | tr '\\0' x; echo; echo next", &heard, &CancellationToken::new())
        .await
        .unwrap();
    let lines = heard.lines(Stream::Stdout);
    assert_eq!(lines[0].len(), LINE_BYTES + CUT_MARK.len());
    assert_eq!(lines[1..], ["next"]);
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipe_does_not_hold_the_step() {
    let heard = Heard::default();
    let begun = std::time::Instant::now();
    let output = shell("sleep 60 & echo $!", &heard, &CancellationToken::new()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    nix::sys::signal::kill(Pid::from_raw(output.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_stop_ends_even_a_grandchild_that_ignores_it() {
    let stop = CancellationToken::new();
    let pid = Mutex::new(None::<i32>);
    let command = Command::new(["/bin/sh", "-c", r#"sh -c 'trap "" TERM; echo $$; exec sleep 600' & wait"#]);
    let on_line = |_: Stream, line: &str| {
        *pid.lock().unwrap() = line.parse().ok();
        stop.cancel();
    };
    let error = run(&command, &on_line, &stop).await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    let grandchild = pid.lock().unwrap().unwrap();
    let stat = format!("/proc/{grandchild}/stat");
    let is_alive = || std::fs::read_to_string(&stat).is_ok_and(|state| !state.contains(") Z "));
    let begun = std::time::Instant::now();
    while is_alive() {
        // The signal was sent; the kernel may take a moment to carry it out.
        assert!(begun.elapsed() < Duration::from_secs(20), "the grandchild lives on");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_stopped_command_is_asked_before_it_is_killed() {
    let (stop, heard) = (CancellationToken::new(), Heard::default());
    let text = "trap 'echo tidied up; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let command = Command::new(["/bin/sh", "-c", text]);
    let on_line = |stream: Stream, line: &str| {
        heard.0.lock().unwrap().push((stream, line.to_owned()));
        stop.cancel();
    };
    let error = run(&command, &on_line, &stop).await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert_eq!(heard.lines(Stream::Stdout), ["ready", "tidied up"]);
}

#[tokio::test]
async fn standard_input_and_environment_are_what_was_given_and_nothing_else() {
    let command = Command::new(["/bin/sh", "-c", "cat; env | sort | cut -d= -f1 | tr '\\n' ' '"])
        .with_stdin("text ")
        .with_environment("EXTRA", "1");
    let output = run(&command, &|_, _| (), &CancellationToken::new()).await.unwrap();
    assert_eq!(output.trim(), "text EXTRA HOME LANG PATH PWD");
}
