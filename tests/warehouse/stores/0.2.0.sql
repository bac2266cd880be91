-- A store as the release 0.2.0 left it: drawn people, photos and swipes. Version 2 of the base tables.
create schema facts;
CREATE TABLE facts.builds(build_id VARCHAR NOT NULL, as_of TIMESTAMP, "options" VARCHAR NOT NULL, stages VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP NOT NULL);
insert into facts.builds values
('20261125T231515-5cc61a', null, '{"labels": {"window": "latest", "min_swipes": 1, "split_seed": 0, "earliest_post": "2010-10-06T00:00:00", "min_age_days": 30, "hashtag": null, "follower_scale": "linear", "mad_threshold": 3.0, "face_filter": "off", "lenient_confidence": 0.5, "strict_confidence": 0.8, "normalise": "all", "band_size": 100}}', '{"labels": {"user_genders": ["computed", 12, 0.058], "photo_owners": ["computed", 12, 0.177], "recipient_timeline": ["computed", 10, 0.098], "photo_periods": ["computed", 10, 0.018], "swipe_counts": ["computed", 33, 0.049], "recipient_counts": ["computed", 12, 0.13], "sender_counts": ["computed", 12, 0.08], "swipe_audit": ["computed", 3, 0.117], "photo_counts": ["computed", 20, 0.024], "like_ratio_prior": ["computed", 2, 0.049], "like_ratios": ["computed", 20, 0.015], "gender_breakdown": ["computed", 18, 0.055], "posts": ["computed", 12, 0.122], "follower_bounds": ["computed", 1, 0.038], "follower_ratios": ["computed", 12, 0.132], "photo_labels": ["computed", 10, 0.056], "photo_setups": ["computed", 20, 0.113], "population": ["computed", 9, 0.07], "funnel": ["computed", 10, 0.103]}}', '2026-11-25 23:15:15.013354', '2026-11-25 23:15:17.078287'),
('20261129T163752-0810b6', null, '{"labels": {"window": "latest", "min_swipes": 1, "split_seed": 0, "earliest_post": "2010-10-06T00:00:00", "min_age_days": 30, "hashtag": null, "follower_scale": "linear", "mad_threshold": 3.0, "face_filter": "off", "lenient_confidence": 0.5, "strict_confidence": 0.8, "normalise": "all", "band_size": 100}}', '{"labels": {"posts": ["computed", 12, 0.008], "photo_owners": ["computed", 12, 0.005], "user_genders": ["computed", 12, 0.002], "sender_counts": ["computed", 12, 0.003], "recipient_counts": ["computed", 12, 0.002], "follower_bounds": ["computed", 1, 0.003], "recipient_timeline": ["computed", 10, 0.004], "follower_ratios": ["computed", 12, 0.007], "photo_periods": ["computed", 10, 0.001], "swipe_counts": ["computed", 33, 0.003], "gender_breakdown": ["computed", 18, 0.004], "photo_counts": ["computed", 20, 0.002], "swipe_audit": ["computed", 3, 0.004], "like_ratio_prior": ["computed", 2, 0.004], "like_ratios": ["computed", 20, 0.003], "photo_labels": ["computed", 10, 0.002], "funnel": ["computed", 10, 0.006], "photo_setups": ["computed", 20, 0.004], "population": ["computed", 9, 0.002]}}', '2026-11-29 16:37:52.794462', '2026-11-29 16:37:52.889686');
CREATE TABLE facts.clock(as_of TIMESTAMP NOT NULL, observed_at TIMESTAMP NOT NULL);
insert into facts.clock values
('9999-12-31 00:00:00', '2024-01-02 00:00:00');
CREATE TABLE facts.commands(command_id VARCHAR NOT NULL, command VARCHAR NOT NULL, "program" VARCHAR NOT NULL, stages VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, written_at TIMESTAMP NOT NULL);
CREATE TABLE facts.crawl_targets("target" VARCHAR NOT NULL, status VARCHAR NOT NULL, detail VARCHAR, "cursor" VARCHAR, posts BIGINT NOT NULL, began_at TIMESTAMP NOT NULL, page INTEGER NOT NULL, user_id VARCHAR, observed_at TIMESTAMP NOT NULL, ingested_at TIMESTAMP NOT NULL);
insert into facts.crawl_targets values
('recent:sun', 'open', null, 'cursor', 3, '2024-01-03 00:00:00.000001', 2, null, '2024-01-03 00:00:00.000001', '2024-01-03 00:00:00.000001');
CREATE TABLE facts.embeddings(encoder VARCHAR NOT NULL, dim INTEGER NOT NULL, n_photos BIGINT NOT NULL, "input" VARCHAR NOT NULL, weights_sha256 VARCHAR NOT NULL, index_kind VARCHAR, recall_at_10 DOUBLE, p50_ms DOUBLE, index_bytes BIGINT);
insert into facts.embeddings values
('toy', 4, 10, 'photo', 'weights', 'Flat', 1.0, 0.5, 160);
CREATE TABLE facts.faces(photo_id VARCHAR NOT NULL, face_no INTEGER NOT NULL, x0 DOUBLE NOT NULL, y0 DOUBLE NOT NULL, x1 DOUBLE NOT NULL, y1 DOUBLE NOT NULL, confidence DOUBLE NOT NULL, keypoints DOUBLE[]);
insert into facts.faces values
('p00', 0, 0.0, 0.0, 1.0, 1.0, 0.5, '[0.5, 0.5]'),
('p01', 0, 0.0, 0.0, 1.0, 1.0, 0.5333333333333333, '[0.5, 0.5]'),
('p02', 0, 0.0, 0.0, 1.0, 1.0, 0.5666666666666667, '[0.5, 0.5]'),
('p03', 0, 0.0, 0.0, 1.0, 1.0, 0.6, '[0.5, 0.5]'),
('p04', 0, 0.0, 0.0, 1.0, 1.0, 0.6333333333333333, '[0.5, 0.5]'),
('p05', 0, 0.0, 0.0, 1.0, 1.0, 0.6666666666666666, '[0.5, 0.5]'),
('p06', 0, 0.0, 0.0, 1.0, 1.0, 0.7, '[0.5, 0.5]'),
('p07', 0, 0.0, 0.0, 1.0, 1.0, 0.7333333333333334, '[0.5, 0.5]'),
('p08', 0, 0.0, 0.0, 1.0, 1.0, 0.7666666666666666, '[0.5, 0.5]'),
('p09', 0, 0.0, 0.0, 1.0, 1.0, 0.8, '[0.5, 0.5]');
CREATE TABLE facts.fetch_attempts(photo_id VARCHAR NOT NULL, url VARCHAR NOT NULL, status VARCHAR NOT NULL, detail VARCHAR, attempt INTEGER NOT NULL, started_at TIMESTAMP NOT NULL, duration_s DOUBLE NOT NULL, bytes BIGINT NOT NULL, settled BOOLEAN NOT NULL);
insert into facts.fetch_attempts values
('p03', 'http://localhost/p03.jpg', 'timeout', 'slow', 1, '2024-01-03 00:00:00.000001', 2.5, 0, false);
CREATE TABLE facts."identity"(store_id VARCHAR NOT NULL);
insert into facts.identity values
('15e4ee14-e954-4c44-89cb-a4d29439ec89');
CREATE TABLE facts.ingests(ingest_id VARCHAR NOT NULL, kind VARCHAR NOT NULL, "source" VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, n_read BIGINT NOT NULL, n_kept BIGINT NOT NULL, n_unchanged BIGINT NOT NULL, n_rejected BIGINT NOT NULL, ingested_at TIMESTAMP NOT NULL);
insert into facts.ingests values
('i1', 'swipes', 'swipes.csv', 'abababababababababababababababababababababababababababababababab', 121, 120, 0, 1, '2024-01-03 00:00:00.000001');
CREATE TABLE facts.journals(segment VARCHAR NOT NULL);
insert into facts.journals values
('segment-1');
CREATE TABLE facts.main_photos(user_id VARCHAR NOT NULL, photo_id VARCHAR, set_at TIMESTAMP NOT NULL, ingested_at TIMESTAMP NOT NULL);
insert into facts.main_photos values
('u00', 'p00', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u01', 'p01', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u02', 'p02', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u03', 'p03', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u04', 'p04', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u05', 'p05', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u06', 'p06', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u07', 'p07', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u08', 'p08', '2024-01-01 01:00:00', '2024-01-02 00:00:00'),
('u09', 'p09', '2024-01-01 01:00:00', '2024-01-02 00:00:00');
CREATE TABLE facts.near_duplicates(photo_id VARCHAR NOT NULL, other_id VARCHAR NOT NULL, cluster_id VARCHAR NOT NULL, reason VARCHAR NOT NULL, bits INTEGER, "distance" DOUBLE);
insert into facts.near_duplicates values
('p01', 'p02', 'p01', 'hash', 3, null);
CREATE TABLE facts.neighbour_sets(encoder VARCHAR NOT NULL, k INTEGER NOT NULL, vectors_content VARCHAR NOT NULL, recall DOUBLE NOT NULL);
insert into facts.neighbour_sets values
('toy', 1, 'content', 1.0);
CREATE TABLE facts.neighbours(encoder VARCHAR NOT NULL, photo_id VARCHAR NOT NULL, rank INTEGER NOT NULL, neighbour_id VARCHAR NOT NULL, "distance" DOUBLE NOT NULL);
insert into facts.neighbours values
('toy', 'p01', 1, 'p02', 0.25);
CREATE TABLE facts.observations(kind VARCHAR NOT NULL, object_id VARCHAR NOT NULL, followers BIGINT, posts BIGINT, likes BIGINT, "comments" BIGINT, observed_at TIMESTAMP NOT NULL, ingested_at TIMESTAMP NOT NULL);
insert into facts.observations values
('account', 'u01', 5, 6, null, null, '2024-01-03 00:00:00.000001', '2024-01-03 00:00:00.000001');
CREATE TABLE facts.photo_files(photo_id VARCHAR NOT NULL, sha256 VARCHAR, width INTEGER, height INTEGER, bytes BIGINT, status VARCHAR NOT NULL, detail VARCHAR, ingested_at TIMESTAMP NOT NULL);
insert into facts.photo_files values
('p00', 'sha-p00', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p01', 'sha-p01', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p02', 'sha-p02', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p03', 'sha-p03', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p04', 'sha-p04', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p05', 'sha-p05', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p06', 'sha-p06', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p07', 'sha-p07', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p08', 'sha-p08', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00'),
('p09', 'sha-p09', 10, 10, 10, 'ok', null, '2024-01-02 00:00:00');
CREATE TABLE facts.photos(photo_id VARCHAR NOT NULL, user_id VARCHAR NOT NULL, path VARCHAR, url VARCHAR, posted_at TIMESTAMP, likes BIGINT, hashtags VARCHAR[], ingested_at TIMESTAMP NOT NULL);
insert into facts.photos values
('p00', 'u00', null, null, '2024-01-01 00:00:00', 20, '[sun]', '2024-01-02 00:00:00'),
('p01', 'u01', null, null, '2024-01-01 01:00:00', 23, null, '2024-01-02 00:00:00'),
('p02', 'u02', null, null, '2024-01-01 02:00:00', 26, null, '2024-01-02 00:00:00'),
('p03', 'u03', null, null, '2024-01-01 03:00:00', 29, null, '2024-01-02 00:00:00'),
('p04', 'u04', null, null, '2024-01-01 04:00:00', 32, '[sun]', '2024-01-02 00:00:00'),
('p05', 'u05', null, null, '2024-01-01 05:00:00', 35, null, '2024-01-02 00:00:00'),
('p06', 'u06', null, null, '2024-01-01 06:00:00', 38, null, '2024-01-02 00:00:00'),
('p07', 'u07', null, null, '2024-01-01 07:00:00', 41, null, '2024-01-02 00:00:00'),
('p08', 'u08', null, null, '2024-01-01 08:00:00', 44, '[sun]', '2024-01-02 00:00:00'),
('p09', 'u09', null, null, '2024-01-01 09:00:00', 47, null, '2024-01-02 00:00:00'),
('p10', 'u10', null, null, '2024-01-01 10:00:00', 50, null, '2024-01-02 00:00:00'),
('p11', 'u11', null, null, '2024-01-01 11:00:00', 53, null, '2024-01-02 00:00:00');
CREATE TABLE facts.predictions(run_id VARCHAR NOT NULL, photo_id VARCHAR NOT NULL, split VARCHAR, prediction DOUBLE NOT NULL);
insert into facts.predictions values
('r1', 'p01', 'test', 0.5),
('r1', 'p02', 'train', 0.25);
CREATE TABLE facts.rejects(kind VARCHAR NOT NULL, "source" VARCHAR NOT NULL, line BIGINT, reason VARCHAR NOT NULL, detail VARCHAR, raw VARCHAR, ingested_at TIMESTAMP NOT NULL);
insert into facts.rejects values
('swipes', 'swipes.csv', 7, 'bad_liked', 'perhaps', '{"liked":"perhaps"}', '2024-01-03 00:00:00.000001');
CREATE TABLE facts.relation_state(relation VARCHAR NOT NULL, digest VARCHAR NOT NULL, n_rows BIGINT NOT NULL, checksum VARCHAR NOT NULL, inputs VARCHAR NOT NULL, built_at TIMESTAMP NOT NULL);
insert into facts.relation_state values
('follower_bounds', '7c0e80a966504f668eb4aec1f186259f6b96075fe73d2aa69fce8bc336e90cf2', 1, '39dd275a374e6a14', '{"posts": "8273829b1b379ecb"}', '2026-11-29 16:37:52.867512'),
('follower_ratios', '5f51168287b125602679ff462ef7074c18a721f27b956e443b98624d1ec72330', 12, 'bda66d4eca4bfb23', '{"posts": "8273829b1b379ecb", "follower_bounds": "39dd275a374e6a14", "faces": "b50ca75380ae87eb; 12 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00; 10 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00"}', '2026-11-29 16:37:52.867512'),
('funnel', '32db72559097a32dc0df0fe612f79581fa6e9aeb6f124c218f9fee49eb39547d', 10, 'd782665a64ddb75a', '{"user_genders": "c90bbcd0847e8ec0", "photo_owners": "95cc624a183cca1f", "recipient_timeline": "51fef8b26f2a6d7a", "swipe_audit": "9856f008beec1520", "like_ratios": "8119d48bf453e707", "follower_ratios": "bda66d4eca4bfb23", "photo_labels": "bcae328be1376f59"}', '2026-11-29 16:37:52.867512'),
('gender_breakdown', '59ddd245e7d84da392b307e72ae774c063af4f0b26a78bd62208c0493dad8cd0', 18, 'ed3d6b89f59fa27c', '{"swipe_counts": "fe1e20a964bb2ae3", "recipient_timeline": "51fef8b26f2a6d7a", "user_genders": "c90bbcd0847e8ec0"}', '2026-11-29 16:37:52.867512'),
('like_ratio_prior', '944d0c9282ab1e700a06952e14a76909519e565840f96ebf8d20e1384c9d5be9', 2, '1c8310322f458cc3', '{"photo_counts": "3787e3bf4262ca1b"}', '2026-11-29 16:37:52.867512'),
('like_ratios', '859d31c022137d8299e4cf3b1065dea8233296ea1595adae5efd14d38b8f32f2', 20, '8119d48bf453e707', '{"photo_counts": "3787e3bf4262ca1b", "photo_owners": "95cc624a183cca1f", "like_ratio_prior": "1c8310322f458cc3"}', '2026-11-29 16:37:52.867512'),
('photo_counts', '9c444b7ad12d3ea529d89c17844d60f17c35ba98c28ea28e42895ec1ff41d45f', 20, '3787e3bf4262ca1b', '{"swipe_counts": "fe1e20a964bb2ae3", "recipient_timeline": "51fef8b26f2a6d7a"}', '2026-11-29 16:37:52.867512'),
('photo_labels', 'd5091f8b2e7a8e5d8f8af72005590dee98ba70fc36810b5bcf4eb69cab66d1e2', 10, 'bcae328be1376f59', '{"like_ratios": "8119d48bf453e707", "follower_ratios": "bda66d4eca4bfb23", "user_genders": "c90bbcd0847e8ec0"}', '2026-11-29 16:37:52.867512'),
('photo_owners', 'd9187c1da98d8117a0c7cce5ac45539dd4605d30655b2526019c1673278d17ec', 12, '95cc624a183cca1f', '{"photos": "12 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00; 10 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00", "main_photos": "10 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00"}', '2026-11-29 16:37:52.867512'),
('photo_periods', '8ff1fbb860b56459e4c6d7991fff04911d8064af1d73c06af7301d7485b063d0', 10, 'ecba44f4ac3080f0', '{"recipient_timeline": "51fef8b26f2a6d7a"}', '2026-11-29 16:37:52.867512'),
('photo_setups', 'e2834151afdda2195c0a66649a4eac6c7fb16694daa777d338ef476cc1d93bc9', 20, 'c34e3dd951d67a82', '{"photo_labels": "bcae328be1376f59", "faces": "b50ca75380ae87eb; 12 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00; 10 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00"}', '2026-11-29 16:37:52.867512'),
('population', '52b45d2ea212f685d2f878c2aebc4561a7d6ed9b21c594a11aa65a076abda505', 9, '9125226250cf1c13', '{"user_genders": "c90bbcd0847e8ec0", "photo_owners": "95cc624a183cca1f", "photo_labels": "bcae328be1376f59", "sender_counts": "c9def7dfbafa40e4"}', '2026-11-29 16:37:52.867512'),
('posts', '2d32cdd7bcfeb552bba0d0335d5d1528d6a9492d2688b9efce2afbd1c3e793e7', 12, '8273829b1b379ecb', '{"photos": "12 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00; 10 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00", "users": "12 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00", "clock": "9989e6fdf9493095"}', '2026-11-29 16:37:52.867512'),
('recipient_counts', '5b4d68ae587d4b9cdf7710bda920f738d0b17ea81189e886774f722d87925d87', 12, '74cb4e408583f1e2', '{"swipes": "120 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00"}', '2026-11-29 16:37:52.867512'),
('recipient_timeline', 'af487958eefc2a97d42b281c812c55648d7830f698eb2102195100e66d782234', 10, '51fef8b26f2a6d7a', '{"user_genders": "c90bbcd0847e8ec0", "main_photos": "10 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00", "photo_owners": "95cc624a183cca1f"}', '2026-11-29 16:37:52.867512'),
('sender_counts', '479661afb49ae128cf01a33d648c333e2e3a608279839f2d7077e56e9f70ad01', 12, 'c9def7dfbafa40e4', '{"swipes": "120 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00"}', '2026-11-29 16:37:52.867512'),
('swipe_audit', 'da389bd08abed8421b6060b3a6bfd6611e3312d54fadcd4ac10dd956089bac38', 3, '9856f008beec1520', '{"recipient_counts": "74cb4e408583f1e2", "swipe_counts": "fe1e20a964bb2ae3", "recipient_timeline": "51fef8b26f2a6d7a", "user_genders": "c90bbcd0847e8ec0"}', '2026-11-29 16:37:52.867512'),
('swipe_counts', 'f34eb9f25568986a6630b56a34168884dbb2363f448a766ac9da9cd4d1b2eb6d', 33, 'fe1e20a964bb2ae3', '{"swipes": "120 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00", "recipient_timeline": "51fef8b26f2a6d7a", "user_genders": "c90bbcd0847e8ec0"}', '2026-11-29 16:37:52.867512'),
('user_genders', '479bddb7c0bb89e355c4d9836dbf5a8dea229716a91866fc134616fed4f0e49a', 12, 'c90bbcd0847e8ec0', '{"users": "12 until 2024-01-02T00:00:00 as of 9999-12-31T00:00:00"}', '2026-11-29 16:37:52.867512');
CREATE TABLE facts.runs(run_id VARCHAR NOT NULL, "target" VARCHAR NOT NULL, setup VARCHAR NOT NULL, encoder VARCHAR NOT NULL, head VARCHAR NOT NULL, metric VARCHAR NOT NULL, dev DOUBLE, test DOUBLE, baseline DOUBLE, n_train BIGINT NOT NULL, n_test BIGINT NOT NULL, hyperparameters VARCHAR NOT NULL, results VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL);
insert into facts.runs values
('r1', 'like_ratio', 'all', 'toy', 'ridge', 'mse', 0.1, 0.2, 0.3, 8, 2, '{"division":"stored"}', '{}', '2024-01-03 00:00:00.000001');
CREATE TABLE facts.swipes(sender_id VARCHAR NOT NULL, recipient_id VARCHAR NOT NULL, liked BOOLEAN NOT NULL, swiped_at TIMESTAMP NOT NULL, ingested_at TIMESTAMP NOT NULL);
insert into facts.swipes values
('u00', 'u00', true, '2024-01-01 04:59:17.954647', '2024-01-02 00:00:00'),
('u00', 'u01', false, '2024-01-01 19:06:23.228605', '2024-01-02 00:00:00'),
('u00', 'u04', true, '2024-01-01 12:27:39.616682', '2024-01-02 00:00:00'),
('u00', 'u07', false, '2024-01-01 08:43:05.991922', '2024-01-02 00:00:00'),
('u00', 'u08', true, '2024-01-01 06:48:09.389363', '2024-01-02 00:00:00'),
('u00', 'u09', true, '2024-01-01 21:13:14.252177', '2024-01-02 00:00:00'),
('u00', 'u10', false, '2024-01-01 16:48:53.669104', '2024-01-02 00:00:00'),
('u00', 'u10', true, '2024-01-01 05:14:20.693054', '2024-01-02 00:00:00'),
('u00', 'u10', true, '2024-01-01 10:30:44.555902', '2024-01-02 00:00:00'),
('u01', 'u00', false, '2024-01-01 15:58:17.953606', '2024-01-02 00:00:00'),
('u01', 'u00', true, '2024-01-01 11:03:34.429307', '2024-01-02 00:00:00'),
('u01', 'u03', false, '2024-01-01 06:26:02.680527', '2024-01-02 00:00:00'),
('u01', 'u04', false, '2024-01-01 08:34:13.491121', '2024-01-02 00:00:00'),
('u01', 'u04', true, '2024-01-01 03:26:21.961645', '2024-01-02 00:00:00'),
('u01', 'u04', true, '2024-01-01 12:25:02.318046', '2024-01-02 00:00:00'),
('u01', 'u05', true, '2024-01-01 21:58:55.677549', '2024-01-02 00:00:00'),
('u01', 'u07', false, '2024-01-01 09:56:02.124768', '2024-01-02 00:00:00'),
('u01', 'u08', false, '2024-01-01 02:47:17.939715', '2024-01-02 00:00:00'),
('u01', 'u11', true, '2024-01-01 02:17:40.508646', '2024-01-02 00:00:00'),
('u01', 'u11', true, '2024-01-01 12:30:58.731393', '2024-01-02 00:00:00'),
('u02', 'u02', false, '2024-01-01 09:30:41.136936', '2024-01-02 00:00:00'),
('u02', 'u02', false, '2024-01-01 18:50:57.136066', '2024-01-02 00:00:00'),
('u02', 'u02', true, '2024-01-01 08:45:00.796932', '2024-01-02 00:00:00'),
('u02', 'u03', true, '2024-01-01 07:49:14.555159', '2024-01-02 00:00:00'),
('u02', 'u03', true, '2024-01-01 10:57:45.743518', '2024-01-02 00:00:00'),
('u02', 'u04', true, '2024-01-01 16:36:37.564766', '2024-01-02 00:00:00'),
('u02', 'u08', false, '2024-01-01 03:36:32.098936', '2024-01-02 00:00:00'),
('u02', 'u11', true, '2024-01-01 06:12:41.508712', '2024-01-02 00:00:00'),
('u03', 'u00', false, '2024-01-01 04:20:33.669111', '2024-01-02 00:00:00'),
('u03', 'u00', false, '2024-01-01 14:41:02.861776', '2024-01-02 00:00:00'),
('u03', 'u02', true, '2024-01-01 02:18:20.530078', '2024-01-02 00:00:00'),
('u03', 'u02', true, '2024-01-01 21:37:33.581316', '2024-01-02 00:00:00'),
('u03', 'u04', false, '2024-01-01 13:58:20.226984', '2024-01-02 00:00:00'),
('u03', 'u04', true, '2024-01-01 21:34:13.093448', '2024-01-02 00:00:00'),
('u03', 'u05', false, '2024-01-01 08:39:02.602744', '2024-01-02 00:00:00'),
('u03', 'u08', false, '2024-01-01 06:22:31.662975', '2024-01-02 00:00:00'),
('u03', 'u09', true, '2024-01-01 05:57:33.843136', '2024-01-02 00:00:00'),
('u03', 'u10', false, '2024-01-01 20:59:43.070873', '2024-01-02 00:00:00'),
('u03', 'u10', true, '2024-01-01 20:57:33.21729', '2024-01-02 00:00:00'),
('u04', 'u00', true, '2024-01-01 06:06:52.973328', '2024-01-02 00:00:00'),
('u04', 'u05', false, '2024-01-01 03:13:15.055624', '2024-01-02 00:00:00'),
('u04', 'u06', false, '2024-01-01 18:34:40.999509', '2024-01-02 00:00:00'),
('u04', 'u07', true, '2024-01-01 15:34:28.12507', '2024-01-02 00:00:00'),
('u04', 'u08', false, '2024-01-01 08:39:13.378593', '2024-01-02 00:00:00'),
('u04', 'u08', true, '2024-01-01 04:29:46.371453', '2024-01-02 00:00:00'),
('u04', 'u08', true, '2024-01-01 09:20:16.353431', '2024-01-02 00:00:00'),
('u05', 'u00', false, '2024-01-01 19:29:22.79468', '2024-01-02 00:00:00'),
('u05', 'u01', false, '2024-01-01 15:59:30.860963', '2024-01-02 00:00:00'),
('u05', 'u03', false, '2024-01-01 16:04:22.263324', '2024-01-02 00:00:00'),
('u05', 'u07', false, '2024-01-01 14:42:04.665107', '2024-01-02 00:00:00'),
('u05', 'u08', false, '2024-01-01 11:47:08.648244', '2024-01-02 00:00:00'),
('u05', 'u08', true, '2024-01-01 17:59:18.752026', '2024-01-02 00:00:00'),
('u05', 'u11', false, '2024-01-01 19:58:48.578738', '2024-01-02 00:00:00'),
('u05', 'u11', true, '2024-01-01 17:35:18.017947', '2024-01-02 00:00:00'),
('u06', 'u00', true, '2024-01-01 16:41:42.071368', '2024-01-02 00:00:00'),
('u06', 'u01', true, '2024-01-01 20:10:23.343917', '2024-01-02 00:00:00'),
('u06', 'u01', true, '2024-01-01 21:36:37.198847', '2024-01-02 00:00:00'),
('u06', 'u03', false, '2024-01-01 21:15:38.719529', '2024-01-02 00:00:00'),
('u06', 'u03', true, '2024-01-01 20:05:16.701578', '2024-01-02 00:00:00'),
('u06', 'u05', false, '2024-01-01 05:01:36.07453', '2024-01-02 00:00:00'),
('u06', 'u05', false, '2024-01-01 07:48:23.724173', '2024-01-02 00:00:00'),
('u06', 'u06', true, '2024-01-01 21:18:33.471818', '2024-01-02 00:00:00'),
('u06', 'u08', false, '2024-01-01 10:58:15.188563', '2024-01-02 00:00:00'),
('u06', 'u10', true, '2024-01-01 13:12:43.215757', '2024-01-02 00:00:00'),
('u06', 'u11', false, '2024-01-01 17:26:37.371695', '2024-01-02 00:00:00'),
('u07', 'u00', false, '2024-01-01 15:59:11.265007', '2024-01-02 00:00:00'),
('u07', 'u04', false, '2024-01-01 08:03:21.951227', '2024-01-02 00:00:00'),
('u07', 'u05', false, '2024-01-01 15:28:05.049083', '2024-01-02 00:00:00'),
('u07', 'u05', false, '2024-01-01 18:00:46.472355', '2024-01-02 00:00:00'),
('u07', 'u05', false, '2024-01-01 20:09:44.127734', '2024-01-02 00:00:00'),
('u07', 'u05', false, '2024-01-01 21:31:28.520951', '2024-01-02 00:00:00'),
('u07', 'u05', true, '2024-01-01 11:20:16.240945', '2024-01-02 00:00:00'),
('u07', 'u06', false, '2024-01-01 06:40:17.118923', '2024-01-02 00:00:00'),
('u07', 'u06', false, '2024-01-01 18:35:49.409063', '2024-01-02 00:00:00'),
('u07', 'u07', false, '2024-01-01 07:12:35.446348', '2024-01-02 00:00:00'),
('u07', 'u08', true, '2024-01-01 10:41:00.372153', '2024-01-02 00:00:00'),
('u07', 'u09', false, '2024-01-01 06:20:42.255354', '2024-01-02 00:00:00'),
('u07', 'u09', false, '2024-01-01 18:54:05.585448', '2024-01-02 00:00:00'),
('u07', 'u09', true, '2024-01-01 15:27:10.120577', '2024-01-02 00:00:00'),
('u07', 'u10', false, '2024-01-01 19:25:41.572669', '2024-01-02 00:00:00'),
('u08', 'u00', true, '2024-01-01 18:48:06.567592', '2024-01-02 00:00:00'),
('u08', 'u02', true, '2024-01-01 17:06:57.902699', '2024-01-02 00:00:00'),
('u08', 'u04', false, '2024-01-01 06:42:36.12494', '2024-01-02 00:00:00'),
('u08', 'u04', true, '2024-01-01 20:25:42.124401', '2024-01-02 00:00:00'),
('u08', 'u08', true, '2024-01-01 03:48:46.576108', '2024-01-02 00:00:00'),
('u08', 'u09', false, '2024-01-01 02:32:02.169216', '2024-01-02 00:00:00'),
('u08', 'u09', false, '2024-01-01 16:56:21.508019', '2024-01-02 00:00:00'),
('u08', 'u09', false, '2024-01-01 19:40:39.011106', '2024-01-02 00:00:00'),
('u08', 'u09', true, '2024-01-01 03:49:57.510837', '2024-01-02 00:00:00'),
('u09', 'u00', false, '2024-01-01 21:13:26.609506', '2024-01-02 00:00:00'),
('u09', 'u01', true, '2024-01-01 14:10:01.894059', '2024-01-02 00:00:00'),
('u09', 'u02', false, '2024-01-01 09:10:13.467505', '2024-01-02 00:00:00'),
('u09', 'u02', false, '2024-01-01 13:39:32.268978', '2024-01-02 00:00:00'),
('u09', 'u04', false, '2024-01-01 12:39:04.581654', '2024-01-02 00:00:00'),
('u09', 'u04', false, '2024-01-01 15:12:17.667261', '2024-01-02 00:00:00'),
('u09', 'u04', true, '2024-01-01 21:47:09.817923', '2024-01-02 00:00:00'),
('u09', 'u07', true, '2024-01-01 10:07:05.295588', '2024-01-02 00:00:00'),
('u09', 'u08', false, '2024-01-01 14:58:43.211122', '2024-01-02 00:00:00'),
('u09', 'u10', false, '2024-01-01 04:38:48.788235', '2024-01-02 00:00:00'),
('u09', 'u10', false, '2024-01-01 14:52:58.328688', '2024-01-02 00:00:00'),
('u09', 'u10', false, '2024-01-01 21:19:55.658479', '2024-01-02 00:00:00'),
('u10', 'u01', true, '2024-01-01 03:41:36.208977', '2024-01-02 00:00:00'),
('u10', 'u02', true, '2024-01-01 15:37:32.208644', '2024-01-02 00:00:00'),
('u10', 'u03', false, '2024-01-01 13:31:08.612258', '2024-01-02 00:00:00'),
('u10', 'u03', true, '2024-01-01 09:57:32.659315', '2024-01-02 00:00:00'),
('u10', 'u06', false, '2024-01-01 11:54:29.226594', '2024-01-02 00:00:00'),
('u10', 'u06', true, '2024-01-01 06:16:13.775669', '2024-01-02 00:00:00'),
('u10', 'u07', false, '2024-01-01 12:05:59.977868', '2024-01-02 00:00:00'),
('u10', 'u10', true, '2024-01-01 19:26:14.196171', '2024-01-02 00:00:00'),
('u11', 'u00', false, '2024-01-01 15:30:54.856608', '2024-01-02 00:00:00'),
('u11', 'u00', true, '2024-01-01 03:16:39.814256', '2024-01-02 00:00:00'),
('u11', 'u01', false, '2024-01-01 15:40:46.843098', '2024-01-02 00:00:00'),
('u11', 'u02', false, '2024-01-01 19:41:56.076576', '2024-01-02 00:00:00'),
('u11', 'u03', true, '2024-01-01 02:09:25.272384', '2024-01-02 00:00:00'),
('u11', 'u05', true, '2024-01-01 14:15:20.383563', '2024-01-02 00:00:00'),
('u11', 'u08', false, '2024-01-01 18:45:26.296648', '2024-01-02 00:00:00'),
('u11', 'u09', false, '2024-01-01 08:12:10.624991', '2024-01-02 00:00:00'),
('u11', 'u10', false, '2024-01-01 10:17:17.260561', '2024-01-02 00:00:00'),
('u11', 'u10', false, '2024-01-01 14:14:16.590107', '2024-01-02 00:00:00'),
('u11', 'u11', false, '2024-01-01 03:19:37.857435', '2024-01-02 00:00:00');
CREATE TABLE facts.users(user_id VARCHAR NOT NULL, gender VARCHAR, followers BIGINT, created_at TIMESTAMP, ingested_at TIMESTAMP NOT NULL);
insert into facts.users values
('u00', 'female', 100, null, '2024-01-02 00:00:00'),
('u01', 'male', 137, null, '2024-01-02 00:00:00'),
('u02', null, 174, null, '2024-01-02 00:00:00'),
('u03', 'female', 211, null, '2024-01-02 00:00:00'),
('u04', 'male', 248, null, '2024-01-02 00:00:00'),
('u05', null, 285, null, '2024-01-02 00:00:00'),
('u06', 'female', 322, null, '2024-01-02 00:00:00'),
('u07', 'male', 359, null, '2024-01-02 00:00:00'),
('u08', null, 396, null, '2024-01-02 00:00:00'),
('u09', 'female', 433, null, '2024-01-02 00:00:00'),
('u10', 'male', 470, null, '2024-01-02 00:00:00'),
('u11', null, 507, null, '2024-01-02 00:00:00');
CREATE TABLE facts."version"("version" INTEGER NOT NULL);
insert into facts.version values
(1),
(2);
CREATE TABLE follower_bounds(n_users BIGINT, follower_scale VARCHAR, centre DOUBLE, deviation DOUBLE, low DOUBLE, high DOUBLE);
insert into main.follower_bounds values
(0, 'linear', null, null, null, null);
CREATE TABLE follower_ratios(photo_id VARCHAR, user_id VARCHAR, likes BIGINT, followers BIGINT, ratio DOUBLE, dropped VARCHAR, percentile DOUBLE, popular BOOLEAN, band BIGINT, band_percentile DOUBLE, band_popular BOOLEAN, user_percentile DOUBLE, user_popular BOOLEAN);
insert into main.follower_ratios values
('p00', 'u00', 20, 100, 0.2, 'too_young', null, null, null, null, null, null, null),
('p01', 'u01', 23, 137, 0.1678832116788321, 'too_young', null, null, null, null, null, null, null),
('p02', 'u02', 26, 174, 0.14942528735632185, 'too_young', null, null, null, null, null, null, null),
('p03', 'u03', 29, 211, 0.13744075829383887, 'too_young', null, null, null, null, null, null, null),
('p04', 'u04', 32, 248, 0.12903225806451613, 'too_young', null, null, null, null, null, null, null),
('p05', 'u05', 35, 285, 0.12280701754385964, 'too_young', null, null, null, null, null, null, null),
('p06', 'u06', 38, 322, 0.11801242236024845, 'too_young', null, null, null, null, null, null, null),
('p07', 'u07', 41, 359, 0.11420612813370473, 'too_young', null, null, null, null, null, null, null),
('p08', 'u08', 44, 396, 0.1111111111111111, 'too_young', null, null, null, null, null, null, null),
('p09', 'u09', 47, 433, 0.10854503464203233, 'too_young', null, null, null, null, null, null, null),
('p10', 'u10', 50, 470, 0.10638297872340426, 'too_young', null, null, null, null, null, null, null),
('p11', 'u11', 53, 507, 0.10453648915187377, 'too_young', null, null, null, null, null, null, null);
CREATE TABLE funnel("source" VARCHAR, step_no INTEGER, step VARCHAR, n_users BIGINT, n_photos BIGINT, n_swipes BIGINT);
insert into main.funnel values
('posts', 1, 'ingested', 12, 12, null),
('posts', 2, 'collected', 0, 0, null),
('posts', 3, 'within_bounds', 0, 0, null),
('posts', 4, 'with_face', 0, 0, null),
('posts', 5, 'labelled', 0, 0, null),
('swipes', 1, 'ingested', 12, 12, 120),
('swipes', 2, 'with_photo', 10, 10, 93),
('swipes', 3, 'every', 10, 10, 93),
('swipes', 4, 'latest', 10, 10, 93),
('swipes', 5, 'labelled', 10, 10, 93);
CREATE TABLE gender_breakdown(time_window VARCHAR, sender_gender VARCHAR, recipient_gender VARCHAR, n_recipients BIGINT, n_swipes BIGINT, n_likes BIGINT, like_ratio DOUBLE, mean_like_ratio DOUBLE);
insert into main.gender_breakdown values
('every', 'female', 'female', 3, 8, 4, 0.5, 0.5833333333333334),
('every', 'female', 'male', 3, 12, 7, 0.5833333333333334, 0.5833333333333334),
('every', 'female', null, 3, 11, 3, 0.2727272727272727, 0.25),
('every', 'male', 'female', 4, 15, 5, 0.3333333333333333, 0.3416666666665),
('every', 'male', 'male', 3, 8, 4, 0.5, 0.611111111111),
('every', 'male', null, 3, 13, 6, 0.46153846153846156, 0.6285714285713333),
('every', null, 'female', 3, 13, 6, 0.46153846153846156, 0.48333333333333334),
('every', null, 'male', 3, 6, 2, 0.3333333333333333, 0.22222222222233334),
('every', null, null, 3, 7, 3, 0.42857142857142855, 0.5833333333333334),
('latest', 'female', 'female', 3, 8, 4, 0.5, 0.5833333333333334),
('latest', 'female', 'male', 3, 12, 7, 0.5833333333333334, 0.5833333333333334),
('latest', 'female', null, 3, 11, 3, 0.2727272727272727, 0.25),
('latest', 'male', 'female', 4, 15, 5, 0.3333333333333333, 0.3416666666665),
('latest', 'male', 'male', 3, 8, 4, 0.5, 0.611111111111),
('latest', 'male', null, 3, 13, 6, 0.46153846153846156, 0.6285714285713333),
('latest', null, 'female', 3, 13, 6, 0.46153846153846156, 0.48333333333333334),
('latest', null, 'male', 3, 6, 2, 0.3333333333333333, 0.22222222222233334),
('latest', null, null, 3, 7, 3, 0.42857142857142855, 0.5833333333333334);
CREATE TABLE like_ratio_prior(time_window VARCHAR, n_photos BIGINT, mean_ratio DOUBLE, variance DOUBLE, noise DOUBLE, fitted BOOLEAN, alpha DOUBLE, beta DOUBLE);
insert into main.like_ratio_prior values
('every', 10, 0.4244216894, 0.01748196722222222, 0.0305972559, true, 39.4712171142, 53.5287828858),
('latest', 10, 0.4244216894, 0.01748196722222222, 0.0305972559, true, 39.4712171142, 53.5287828858);
CREATE TABLE like_ratios(photo_id VARCHAR, user_id VARCHAR, time_window VARCHAR, n_likes BIGINT, n_swipes BIGINT, like_ratio DOUBLE, ci_low DOUBLE, ci_high DOUBLE, smoothed_ratio DOUBLE);
insert into main.like_ratios values
('p00', 'u00', 'every', 5, 12, 0.4166666666666667, 0.19326031365875665, 0.6804886874504503, 0.42353540108761906),
('p00', 'u00', 'latest', 5, 12, 0.4166666666666667, 0.19326031365875665, 0.6804886874504503, 0.42353540108761906),
('p01', 'u01', 'every', 4, 7, 0.5714285714285714, 0.2504583645276572, 0.8417801447485302, 0.434712171142),
('p01', 'u01', 'latest', 4, 7, 0.5714285714285714, 0.2504583645276572, 0.8417801447485302, 0.434712171142),
('p02', 'u02', 'every', 4, 7, 0.5714285714285714, 0.2504583645276572, 0.8417801447485302, 0.434712171142),
('p02', 'u02', 'latest', 4, 7, 0.5714285714285714, 0.2504583645276572, 0.8417801447485302, 0.434712171142),
('p03', 'u03', 'every', 5, 9, 0.5555555555555556, 0.26665129349549305, 0.8112214789023355, 0.4359923246490196),
('p03', 'u03', 'latest', 5, 9, 0.5555555555555556, 0.26665129349549305, 0.8112214789023355, 0.4359923246490196),
('p04', 'u04', 'every', 7, 13, 0.5384615384615384, 0.29143795714506004, 0.7679393219046169, 0.4384077086245283),
('p04', 'u04', 'latest', 7, 13, 0.5384615384615384, 0.29143795714506004, 0.7679393219046169, 0.4384077086245283),
('p05', 'u05', 'every', 3, 11, 0.2727272727272727, 0.09746059290024889, 0.5656453011761291, 0.40837708763653846),
('p05', 'u05', 'latest', 3, 11, 0.2727272727272727, 0.09746059290024889, 0.5656453011761291, 0.40837708763653846),
('p06', 'u06', 'every', 1, 5, 0.2, 0.03622410863243014, 0.6244653702374747, 0.4129716032061225),
('p06', 'u06', 'latest', 1, 5, 0.2, 0.03622410863243014, 0.6244653702374747, 0.4129716032061225),
('p07', 'u07', 'every', 2, 6, 0.3333333333333333, 0.09677141110578041, 0.700006684861608, 0.4189011829717172),
('p07', 'u07', 'latest', 2, 6, 0.3333333333333333, 0.09677141110578041, 0.700006684861608, 0.4189011829717172),
('p08', 'u08', 'every', 5, 13, 0.38461538461538464, 0.17709707797762575, 0.6447710848733431, 0.41953978409622644),
('p08', 'u08', 'latest', 5, 13, 0.38461538461538464, 0.17709707797762575, 0.6447710848733431, 0.41953978409622644),
('p09', 'u09', 'every', 4, 10, 0.4, 0.16818032970623614, 0.6873262302663417, 0.42205065159417476),
('p09', 'u09', 'latest', 4, 10, 0.4, 0.16818032970623614, 0.6873262302663417, 0.42205065159417476);
CREATE TABLE photo_counts(photo_no INTEGER, time_window VARCHAR, n_swipes BIGINT, n_likes BIGINT);
insert into main.photo_counts values
(1, 'every', 12, 5),
(1, 'latest', 12, 5),
(10, 'every', 10, 4),
(10, 'latest', 10, 4),
(2, 'every', 7, 4),
(2, 'latest', 7, 4),
(3, 'every', 7, 4),
(3, 'latest', 7, 4),
(4, 'every', 9, 5),
(4, 'latest', 9, 5),
(5, 'every', 13, 7),
(5, 'latest', 13, 7),
(6, 'every', 11, 3),
(6, 'latest', 11, 3),
(7, 'every', 5, 1),
(7, 'latest', 5, 1),
(8, 'every', 6, 2),
(8, 'latest', 6, 2),
(9, 'every', 13, 5),
(9, 'latest', 13, 5);
CREATE TABLE photo_labels(photo_id VARCHAR, user_id VARCHAR, gender VARCHAR, "source" VARCHAR, "value" DOUBLE, weight DOUBLE, popular BOOLEAN, percentile DOUBLE);
insert into main.photo_labels values
('p00', 'u00', 'female', 'swipes', 0.4166666666666667, 12.0, true, 55.55555555555556),
('p01', 'u01', 'male', 'swipes', 0.5714285714285714, 7.0, true, 88.88888888888889),
('p02', 'u02', null, 'swipes', 0.5714285714285714, 7.0, true, 88.88888888888889),
('p03', 'u03', 'female', 'swipes', 0.5555555555555556, 9.0, true, 77.77777777777779),
('p04', 'u04', 'male', 'swipes', 0.5384615384615384, 13.0, true, 66.66666666666666),
('p05', 'u05', null, 'swipes', 0.2727272727272727, 11.0, false, 11.11111111111111),
('p06', 'u06', 'female', 'swipes', 0.2, 5.0, false, 0.0),
('p07', 'u07', 'male', 'swipes', 0.3333333333333333, 6.0, false, 22.22222222222222),
('p08', 'u08', null, 'swipes', 0.38461538461538464, 13.0, false, 33.33333333333333),
('p09', 'u09', 'female', 'swipes', 0.4, 10.0, false, 44.44444444444444);
CREATE TABLE photo_owners(photo_no INTEGER, photo_id VARCHAR, user_id VARCHAR);
insert into main.photo_owners values
(1, 'p00', 'u00'),
(10, 'p09', 'u09'),
(11, 'p10', 'u10'),
(12, 'p11', 'u11'),
(2, 'p01', 'u01'),
(3, 'p02', 'u02'),
(4, 'p03', 'u03'),
(5, 'p04', 'u04'),
(6, 'p05', 'u05'),
(7, 'p06', 'u06'),
(8, 'p07', 'u07'),
(9, 'p08', 'u08');
CREATE TABLE photo_periods(photo_id VARCHAR, user_id VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP);
insert into main.photo_periods values
('p00', 'u00', '2024-01-01 01:00:00', null),
('p01', 'u01', '2024-01-01 01:00:00', null),
('p02', 'u02', '2024-01-01 01:00:00', null),
('p03', 'u03', '2024-01-01 01:00:00', null),
('p04', 'u04', '2024-01-01 01:00:00', null),
('p05', 'u05', '2024-01-01 01:00:00', null),
('p06', 'u06', '2024-01-01 01:00:00', null),
('p07', 'u07', '2024-01-01 01:00:00', null),
('p08', 'u08', '2024-01-01 01:00:00', null),
('p09', 'u09', '2024-01-01 01:00:00', null);
CREATE TABLE photo_setups(photo_id VARCHAR, setup VARCHAR, split VARCHAR);
insert into main.photo_setups values
('p00', 'all', 'train'),
('p00', 'one_face', 'train'),
('p01', 'all', 'train'),
('p01', 'one_face', 'train'),
('p02', 'all', 'train'),
('p02', 'one_face', 'train'),
('p03', 'all', 'dev'),
('p03', 'one_face', 'train'),
('p04', 'all', 'train'),
('p04', 'one_face', 'dev'),
('p05', 'all', 'train'),
('p05', 'one_face', 'train'),
('p06', 'all', 'train'),
('p06', 'one_face', 'train'),
('p07', 'all', 'train'),
('p07', 'one_face', 'train'),
('p08', 'all', 'train'),
('p08', 'one_face', 'train'),
('p09', 'all', 'train'),
('p09', 'one_face', 'train');
CREATE TABLE population(stage VARCHAR, gender VARCHAR, n_users BIGINT, n_swipes_sent BIGINT);
insert into main.population values
('ingested', 'female', 4, 43),
('ingested', 'male', 4, 41),
('ingested', null, 4, 36),
('labelled', 'female', 4, 43),
('labelled', 'male', 3, 33),
('labelled', null, 3, 25),
('with_photo', 'female', 4, 43),
('with_photo', 'male', 4, 41),
('with_photo', null, 4, 36);
CREATE TABLE posts(photo_id VARCHAR, user_id VARCHAR, likes BIGINT, followers BIGINT, posted_at TIMESTAMP, sha256 VARCHAR, dropped VARCHAR);
insert into main.posts values
('p00', 'u00', 20, 100, '2024-01-01 00:00:00', 'sha-p00', 'too_young'),
('p01', 'u01', 23, 137, '2024-01-01 01:00:00', 'sha-p01', 'too_young'),
('p02', 'u02', 26, 174, '2024-01-01 02:00:00', 'sha-p02', 'too_young'),
('p03', 'u03', 29, 211, '2024-01-01 03:00:00', 'sha-p03', 'too_young'),
('p04', 'u04', 32, 248, '2024-01-01 04:00:00', 'sha-p04', 'too_young'),
('p05', 'u05', 35, 285, '2024-01-01 05:00:00', 'sha-p05', 'too_young'),
('p06', 'u06', 38, 322, '2024-01-01 06:00:00', 'sha-p06', 'too_young'),
('p07', 'u07', 41, 359, '2024-01-01 07:00:00', 'sha-p07', 'too_young'),
('p08', 'u08', 44, 396, '2024-01-01 08:00:00', 'sha-p08', 'too_young'),
('p09', 'u09', 47, 433, '2024-01-01 09:00:00', 'sha-p09', 'too_young'),
('p10', 'u10', 50, 470, '2024-01-01 10:00:00', null, 'too_young'),
('p11', 'u11', 53, 507, '2024-01-01 11:00:00', null, 'too_young');
CREATE TABLE recipient_counts(recipient_id VARCHAR, n_swipes BIGINT, n_likes BIGINT);
insert into main.recipient_counts values
('u00', 13, 6),
('u01', 7, 4),
('u02', 10, 5),
('u03', 9, 5),
('u04', 13, 7),
('u05', 11, 3),
('u06', 6, 2),
('u07', 7, 2),
('u08', 14, 6),
('u09', 10, 4),
('u10', 13, 5),
('u11', 7, 4);
CREATE TABLE recipient_timeline(stretch_no INTEGER, user_no INTEGER, user_id VARCHAR, photo_no INTEGER, photo_id VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP, reason VARCHAR);
insert into main.recipient_timeline values
(1, 1, 'u00', 1, 'p00', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(10, 10, 'u09', 10, 'p09', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(2, 2, 'u01', 2, 'p01', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(3, 3, 'u02', 3, 'p02', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(4, 4, 'u03', 4, 'p03', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(5, 5, 'u04', 5, 'p04', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(6, 6, 'u05', 6, 'p05', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(7, 7, 'u06', 7, 'p06', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(8, 8, 'u07', 8, 'p07', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept'),
(9, 9, 'u08', 9, 'p08', '2024-01-01 01:00:00', '9999-12-31 00:00:00', 'kept');
CREATE TABLE sender_counts(sender_id VARCHAR, n_swipes BIGINT);
insert into main.sender_counts values
('u00', 9),
('u01', 11),
('u02', 8),
('u03', 11),
('u04', 7),
('u05', 8),
('u06', 11),
('u07', 15),
('u08', 9),
('u09', 12),
('u10', 8),
('u11', 11);
CREATE TABLE swipe_audit(reason VARCHAR, n_swipes BIGINT, n_likes BIGINT, in_latest BOOLEAN, in_every BOOLEAN);
insert into main.swipe_audit values
('kept', 93, 40, true, true),
('no_photo', 20, 9, false, false),
('self_swipe', 7, 4, false, false);
CREATE TABLE swipe_counts(stretch_no INTEGER, sender_group INTEGER, n_swipes BIGINT, n_likes BIGINT);
insert into main.swipe_counts values
(1, 1, 4, 1),
(1, 2, 4, 2),
(1, 4, 1, 1),
(1, null, 4, 2),
(10, 1, 2, 2),
(10, 2, 3, 1),
(10, null, 5, 1),
(2, 1, 4, 3),
(2, 2, 1, 1),
(2, null, 2, 0),
(3, 1, 4, 2),
(3, 2, 1, 1),
(3, 4, 3, 1),
(3, null, 2, 1),
(4, 1, 2, 1),
(4, 2, 3, 1),
(4, null, 4, 3),
(5, 1, 6, 3),
(5, 2, 4, 2),
(5, null, 3, 2),
(6, 1, 3, 0),
(6, 2, 7, 2),
(6, null, 1, 1),
(7, 2, 5, 1),
(7, 4, 1, 1),
(8, 1, 2, 1),
(8, 2, 3, 1),
(8, 4, 1, 0),
(8, null, 1, 0),
(9, 1, 4, 1),
(9, 2, 5, 3),
(9, 4, 1, 1),
(9, null, 4, 1);
CREATE TABLE user_genders(user_no INTEGER, user_id VARCHAR, gender VARCHAR, gender_no INTEGER);
insert into main.user_genders values
(1, 'u00', 'female', 1),
(10, 'u09', 'female', 1),
(11, 'u10', 'male', 2),
(12, 'u11', null, null),
(2, 'u01', 'male', 2),
(3, 'u02', null, null),
(4, 'u03', 'female', 1),
(5, 'u04', 'male', 2),
(6, 'u05', null, null),
(7, 'u06', 'female', 1),
(8, 'u07', 'male', 2),
(9, 'u08', null, null);
CREATE VIEW clock AS SELECT CAST(as_of AS TIMESTAMP) AS as_of, CAST(observed_at AS TIMESTAMP) AS observed_at FROM facts.clock;
comment on view clock is 'sql/cc20b76cd848b230';
CREATE VIEW users AS WITH versions AS (SELECT given.* FROM (facts.users AS given CROSS JOIN clock) WHERE (ingested_at < as_of) QUALIFY (row_number() OVER (PARTITION BY user_id ORDER BY ingested_at DESC, gender, followers, created_at) = 1)) SELECT CAST(user_id AS VARCHAR) AS user_id, CAST(gender AS VARCHAR) AS gender, CAST(followers AS BIGINT) AS followers, CAST(created_at AS TIMESTAMP) AS created_at FROM (versions CROSS JOIN clock) WHERE COALESCE((created_at < as_of), true);
comment on view users is 'sql/c3128d15a1bb5fa1';
CREATE VIEW photos AS WITH versions AS (SELECT given.* FROM (facts.photos AS given CROSS JOIN clock) WHERE (ingested_at < as_of) QUALIFY (row_number() OVER (PARTITION BY photo_id ORDER BY ingested_at DESC, user_id, path, url, posted_at, likes) = 1)), findings AS (SELECT found.* FROM (facts.photo_files AS found CROSS JOIN clock) WHERE (ingested_at < as_of) QUALIFY (row_number() OVER (PARTITION BY photo_id ORDER BY ingested_at DESC, status, sha256) = 1)) SELECT CAST(versions.photo_id AS VARCHAR) AS photo_id, CAST(versions.user_id AS VARCHAR) AS user_id, CAST(versions.path AS VARCHAR) AS path, CAST(versions.url AS VARCHAR) AS url, CAST(findings.sha256 AS VARCHAR) AS sha256, CAST(findings.width AS INTEGER) AS width, CAST(findings.height AS INTEGER) AS height, CAST(versions.posted_at AS TIMESTAMP) AS posted_at, CAST(versions.likes AS BIGINT) AS likes, CAST(versions.hashtags AS VARCHAR[]) AS hashtags, CAST(findings.status AS VARCHAR) AS status FROM ((versions LEFT JOIN findings ON ((versions.photo_id = findings.photo_id))) CROSS JOIN clock) WHERE COALESCE((versions.posted_at < clock.as_of), true);
comment on view photos is 'sql/22f8c305d8b43a3e';
CREATE VIEW main_photos AS SELECT CAST(user_id AS VARCHAR) AS user_id, CAST(photo_id AS VARCHAR) AS photo_id, CAST(set_at AS TIMESTAMP) AS set_at FROM (facts.main_photos CROSS JOIN clock) WHERE ((set_at < as_of) AND (ingested_at < as_of));
comment on view main_photos is 'sql/f50ff74064873a90';
CREATE VIEW swipes AS SELECT CAST(sender_id AS VARCHAR) AS sender_id, CAST(recipient_id AS VARCHAR) AS recipient_id, CAST(liked AS BOOLEAN) AS liked, CAST(swiped_at AS TIMESTAMP) AS swiped_at FROM (facts.swipes CROSS JOIN clock) WHERE ((swiped_at < as_of) AND (ingested_at < as_of));
comment on view swipes is 'sql/93da6c37181967fd';
CREATE VIEW rejects AS SELECT CAST(kind AS VARCHAR) AS kind, CAST("source" AS VARCHAR) AS "source", CAST(line AS BIGINT) AS line, CAST(reason AS VARCHAR) AS reason, CAST(detail AS VARCHAR) AS detail, CAST(raw AS VARCHAR) AS raw, CAST(ingested_at AS TIMESTAMP) AS ingested_at FROM facts.rejects;
comment on view rejects is 'sql/fb0fa71a0af8756b';
CREATE VIEW faces AS SELECT CAST(found.photo_id AS VARCHAR) AS photo_id, CAST(found.face_no AS INTEGER) AS face_no, CAST(found.x0 AS double) AS x0, CAST(found.y0 AS double) AS y0, CAST(found.x1 AS double) AS x1, CAST(found.y1 AS double) AS y1, CAST(found.confidence AS double) AS confidence, CAST(found.keypoints AS double[]) AS keypoints FROM (facts.faces AS found SEMI JOIN (SELECT photo_id FROM photos WHERE (sha256 IS NOT NULL)) AS held ON ((found.photo_id = held.photo_id)));
comment on view faces is 'sql/dcfb09eec0bc1b3e';
CREATE VIEW embeddings AS SELECT CAST(encoder AS VARCHAR) AS encoder, CAST(dim AS INTEGER) AS dim, CAST(n_photos AS BIGINT) AS n_photos, CAST("input" AS VARCHAR) AS "input", CAST(weights_sha256 AS VARCHAR) AS weights_sha256, CAST(index_kind AS VARCHAR) AS index_kind, CAST(recall_at_10 AS double) AS recall_at_10, CAST(p50_ms AS double) AS p50_ms, CAST(index_bytes AS BIGINT) AS index_bytes FROM facts.embeddings;
comment on view embeddings is 'sql/392693639b086efc';
CREATE VIEW neighbours AS SELECT CAST(near.encoder AS VARCHAR) AS encoder, CAST(near.photo_id AS VARCHAR) AS photo_id, CAST(near.rank AS INTEGER) AS rank, CAST(near.neighbour_id AS VARCHAR) AS neighbour_id, CAST(near."distance" AS double) AS "distance" FROM ((facts.neighbours AS near SEMI JOIN photos AS own ON ((near.photo_id = own.photo_id))) SEMI JOIN photos AS other ON ((near.neighbour_id = other.photo_id)));
comment on view neighbours is 'sql/abfedf858a3a70cf';
CREATE VIEW near_duplicates AS SELECT CAST(pairs.photo_id AS VARCHAR) AS photo_id, CAST(pairs.other_id AS VARCHAR) AS other_id, CAST(pairs.cluster_id AS VARCHAR) AS cluster_id, CAST(pairs.reason AS VARCHAR) AS reason, CAST(pairs.bits AS INTEGER) AS bits, CAST(pairs."distance" AS double) AS "distance" FROM ((facts.near_duplicates AS pairs SEMI JOIN photos AS own ON ((pairs.photo_id = own.photo_id))) SEMI JOIN photos AS other ON ((pairs.other_id = other.photo_id)));
comment on view near_duplicates is 'sql/2eec86044a1ad872';
CREATE VIEW duplicate_clusters AS WITH members AS ((SELECT photo_id, cluster_id FROM near_duplicates) UNION (SELECT other_id AS photo_id, cluster_id FROM near_duplicates)) SELECT CAST(photo_id AS VARCHAR) AS photo_id, CAST(cluster_id AS VARCHAR) AS cluster_id, CAST(count() OVER (PARTITION BY cluster_id) AS BIGINT) AS n_photos FROM members;
comment on view duplicate_clusters is 'sql/6a4744794866f23c';
CREATE VIEW runs AS SELECT CAST(run_id AS VARCHAR) AS run_id, CAST("target" AS VARCHAR) AS "target", CAST(setup AS VARCHAR) AS setup, CAST(encoder AS VARCHAR) AS encoder, CAST(head AS VARCHAR) AS head, CAST(metric AS VARCHAR) AS metric, CAST(dev AS double) AS dev, CAST(test AS double) AS test, CAST(baseline AS double) AS baseline, CAST(n_train AS BIGINT) AS n_train, CAST(n_test AS BIGINT) AS n_test, CAST(hyperparameters AS VARCHAR) AS hyperparameters, CAST(results AS VARCHAR) AS results, CAST(created_at AS TIMESTAMP) AS created_at FROM facts.runs;
comment on view runs is 'sql/0d16cc380036b59b';
CREATE VIEW predictions AS SELECT CAST(run_id AS VARCHAR) AS run_id, CAST(photo_id AS VARCHAR) AS photo_id, CAST(split AS VARCHAR) AS split, CAST(prediction AS double) AS prediction FROM facts.predictions;
comment on view predictions is 'sql/2b60412767d13e59';
CREATE VIEW fetch_attempts AS SELECT CAST(photo_id AS VARCHAR) AS photo_id, CAST(url AS VARCHAR) AS url, CAST(status AS VARCHAR) AS status, CAST(detail AS VARCHAR) AS detail, CAST(attempt AS INTEGER) AS attempt, CAST(started_at AS TIMESTAMP) AS started_at, CAST(duration_s AS double) AS duration_s, CAST(bytes AS BIGINT) AS bytes FROM facts.fetch_attempts;
comment on view fetch_attempts is 'sql/c5b794475969892e';
CREATE VIEW observations AS SELECT CAST(seen.kind AS VARCHAR) AS kind, CAST(seen.object_id AS VARCHAR) AS object_id, CAST(seen.followers AS BIGINT) AS followers, CAST(seen.posts AS BIGINT) AS posts, CAST(seen.likes AS BIGINT) AS likes, CAST(seen."comments" AS BIGINT) AS "comments", CAST(seen.observed_at AS TIMESTAMP) AS observed_at, CAST(seen.ingested_at AS TIMESTAMP) AS ingested_at FROM (facts.observations AS seen CROSS JOIN clock) WHERE ((seen.observed_at < clock.as_of) AND (seen.ingested_at < clock.as_of));
comment on view observations is 'sql/ca74ad542bf50b2f';
CREATE VIEW crawl_targets AS WITH pages AS (SELECT *, max(user_id) OVER (PARTITION BY "target", began_at) AS owner_id FROM facts.crawl_targets QUALIFY (row_number() OVER (PARTITION BY "target" ORDER BY began_at DESC, page DESC) = 1)) SELECT CAST("target" AS VARCHAR) AS "target", CAST(status AS VARCHAR) AS status, CAST(detail AS VARCHAR) AS detail, CAST(posts AS BIGINT) AS n_posts, CAST(page AS INTEGER) AS n_pages, CAST(owner_id AS VARCHAR) AS user_id, CAST(began_at AS TIMESTAMP) AS began_at, CAST(observed_at AS TIMESTAMP) AS observed_at FROM pages;
comment on view crawl_targets is 'sql/5d5a4a4358998df8';
CREATE VIEW builds AS SELECT CAST(build_id AS VARCHAR) AS build_id, CAST(as_of AS TIMESTAMP) AS as_of, CAST("options" AS VARCHAR) AS "options", CAST(stages AS VARCHAR) AS stages, CAST(started_at AS TIMESTAMP) AS started_at, CAST(finished_at AS TIMESTAMP) AS finished_at FROM facts.builds;
comment on view builds is 'sql/8ec8e23727a2dce1';
CREATE VIEW commands AS SELECT CAST(command_id AS VARCHAR) AS command_id, CAST(command AS VARCHAR) AS command, CAST("program" AS VARCHAR) AS "program", CAST(stages AS VARCHAR) AS stages, CAST(started_at AS TIMESTAMP) AS started_at, CAST(written_at AS TIMESTAMP) AS written_at FROM facts.commands;
comment on view commands is 'sql/6ac7e1dce1f73620';
CREATE VIEW checksums AS SELECT CAST(relation AS VARCHAR) AS relation, CAST(n_rows AS BIGINT) AS n_rows, CAST(checksum AS VARCHAR) AS checksum, CAST(built_at AS TIMESTAMP) AS built_at FROM facts.relation_state;
comment on view checksums is 'sql/c78bda5cda17a839';
