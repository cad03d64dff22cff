//! An installation.
use anyhow::Result;
use crate::table::Line;
pub(crate) async fn measure(_rounds: usize, _distribution: &str) -> Result<Vec<Line>> { Ok(Vec::new()) }
