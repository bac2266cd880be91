-- Whether each label is above the median of its population, and how many labels the population has.
--
-- grain: photo_id, source
-- reads: populations, one of the queries search/population_*.sql
--
-- Labels from swipes and from posts are not compared with each other. A population that is NULL, such as the unknown
-- gender, is a population of its own.
select
    photo_id,
    source,
    value > median(value) over (partition by source, population) as popular,
    count(*) over (partition by source, population) as n_compared
from populations
