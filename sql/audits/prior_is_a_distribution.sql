-- prior_is_a_distribution: alpha and beta are positive and finite
--
-- reads:  like_ratio_prior
select time_window, n_photos, mean_ratio, variance, noise, alpha, beta
from like_ratio_prior
where not coalesce(alpha > 0e0 and beta > 0e0 and alpha + beta < 1e18, false)
