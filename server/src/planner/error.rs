//! Why a job cannot be planned. What people are told to do about it is said in `app`.

use crate::domain::layout::LayoutProblem;

/// Why a job cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such job type.
    #[error("there is no job type `{0}`")]
    UnknownJobType(String),
    /// There is no such distribution.
    #[error("there is no distribution `{0}`; `lotse distribution list` shows those that are known")]
    UnknownDistribution(String),
    /// There is no such layout.
    #[error("there is no layout `{0}`; `lotse layout list` shows those that are known")]
    UnknownLayout(String),
    /// Nothing is known of the machine.
    #[error("the machine's hardware is not known yet")]
    NeedsFacts,
    /// An image was not built.
    #[error("the image `{0}` was not built")]
    NoImage(String),
    /// The layout is wrong, or cannot hold on this machine.
    #[error("the layout `{name}` cannot be used on this machine: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Layout {
        /// Its name.
        name: String,
        /// Everything that stands against it.
        problems: Vec<LayoutProblem>,
    },
    /// A template cannot be rendered.
    #[error("step `{step}` of {job_type}: {message}")]
    Render {
        /// The job type.
        job_type: String,
        /// The step.
        step: String,
        /// What is wrong.
        message: String,
    },
    /// A parameter names something that is not there.
    #[error("{0}")]
    Params(String),
}
