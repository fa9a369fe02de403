//! Codes of devices, asked of somebody who can read them.

use std::{fmt, sync::Arc};

use crate::providers::{BoxFuture, ProviderError, ProviderErrorKind};

/// Asks for the code that a device shows.
///
/// It is given the serial number or ARN of the device, and answers with six digits. A role that asks for
/// codes asks for one at each refresh, so it is best used with a long
/// [duration](super::AssumeRole::with_duration).
///
/// ```
/// use countersign::providers::MfaPrompt;
///
/// let prompt = MfaPrompt::new(|serial: String| async move {
///     println!("Enter MFA code for {serial}: ");
///     Ok("123456".to_owned())
/// });
/// # let _ = prompt;
/// ```
#[derive(Clone)]
pub struct MfaPrompt(Arc<Prompt>);

type Prompt = dyn Fn(String) -> BoxFuture<'static, Result<String, ProviderError>> + Send + Sync;

impl MfaPrompt {
    /// Asks so.
    pub fn new<Answer>(prompt: impl Fn(String) -> Answer + Send + Sync + 'static) -> MfaPrompt
    where
        Answer: Future<Output = Result<String, ProviderError>> + Send + 'static,
    {
        MfaPrompt(Arc::new(move |serial| Box::pin(prompt(serial))))
    }
}

impl fmt::Debug for MfaPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MfaPrompt")
    }
}

/// The code of a device.
pub(super) async fn code(
    prompt: Option<&MfaPrompt>,
    serial: &str,
    provider: &'static str,
) -> Result<String, ProviderError> {
    let Some(MfaPrompt(prompt)) = prompt else {
        return Err(ProviderError::new(
            provider,
            ProviderErrorKind::Unsupported,
            format!(
                "Cannot refresh credentials: MFA token required. The device is {}, and nobody was set up \
                 to ask for its code",
                super::form::shown(serial)
            ),
        ));
    };
    prompt(serial.to_owned()).await
}
