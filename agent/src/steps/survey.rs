//! Reads how the system is set up, and sends what was found. Writes nothing.

use super::{StepContext, StepError};
use crate::survey;

/// Reads and sends.
pub(super) async fn execute(ctx: &StepContext<'_>) -> Result<(), StepError> {
    let survey = survey::gather(ctx.host).await;
    ctx.say(&format!(
        "{}: {} network interfaces, {} accounts, {} package sources",
        survey.os.name,
        survey.interfaces.len(),
        survey.users.len(),
        survey.sources.len()
    ));
    for unread in &survey.unread {
        ctx.say(&format!("not read: {unread}"));
    }
    ctx.ask(|| ctx.server.survey(&survey)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::fake::FakeHost, steps::testing::Stage};

    #[tokio::test]
    async fn a_survey_is_sent_and_nothing_is_written() {
        let host = FakeHost::new(0)
            .with_file("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n")
            .with_file("/etc/passwd", "ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n");
        let stage = Stage::new(host);
        execute(&stage.ctx()).await.unwrap();
        let sent = stage.server.surveys.lock().unwrap().clone();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].users[0].name, "ann");
        assert!(stage.said().contains("Debian 12: 0 network interfaces, 1 accounts"), "{}", stage.said());
        for command in stage.host.command_lines() {
            assert!(command.starts_with("ip -j ") || command.starts_with("head -c "), "{command}");
        }
    }
}
